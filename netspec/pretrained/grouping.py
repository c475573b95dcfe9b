"""Group the flat names of a state dict into layers: ``features.0.weight`` is of ``features.0``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from netspec.files.members import shown
from netspec.pretrained.layers import Layer, kind_of

WRAPPERS = ("module", "_orig_mod", "model", "net", "network", "backbone")
"""Prefixes that PyTorch's wrappers and training scripts put before every name."""

COUNTERS = ("num_batches_tracked",)
"""Tensors that inference does not use."""

_OF_PARAMETRIZATION = re.compile(r"(?:(.*)\.)?parametrizations\.([^.]+)\.(.+)")
_NEW_NORM, _OLD_NORM = ("original0", "original1"), ("_g", "_v")


PLAIN = (
    "remove the parametrisations in PyTorch, with torch.nn.utils.parametrize."
    "remove_parametrizations or remove_spectral_norm, and save the state dict again"
)
"""How to fix what raises :class:`Ungrouped`."""


class Ungrouped(ValueError):
    """A state dict with weights that are computed from others in a way that netspec does not know.

    The message is a part of a sentence, whose subject is the file.
    """


def layers_of(tensors: Mapping[str, Tensor]) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Return the layers of a state dict in its order, and the names of tensors that are skipped.

    Counters of batches and tensors of integers are skipped.  A prefix that a wrapper has put before
    every name is removed from the names of layers.  A weight with weight norm is computed: w = g v
    / ||v|| (Salimans and Kingma 2016).

    Args:
        tensors: by name.

    Raises:
        Ungrouped: a weight has another parametrisation.
    """
    kept = {name: tensor for name, tensor in tensors.items() if _is_parameter(name, tensor)}
    prefix = _wrapper(kept)
    groups: dict[str, dict[str, str]] = {}
    for name in kept:
        layer, role = _split(name.removeprefix(prefix))
        groups.setdefault(layer, {})[role] = name
    layers = []
    for layer, names in groups.items():
        own, names_of = _without_weight_norm(layer, {role: kept[n] for role, n in names.items()})
        layers.append(Layer(layer, kind_of(own), own, {r: names[names_of[r]] for r in own}))
    return tuple(layers), tuple(name for name in tensors if name not in kept)


def _is_parameter(name: str, tensor: Tensor) -> bool:
    return tensor.is_floating_point() and name.rpartition(".")[2] not in COUNTERS


def _wrapper(names: Mapping[str, Tensor]) -> str:
    """Return the prefixes of wrappers that every name has, with their dots."""
    prefix = ""
    while True:
        rest = [name.removeprefix(prefix) for name in names]
        first = rest[0].partition(".")[0] if rest else ""
        if first not in WRAPPERS or not all(name.startswith(f"{first}.") for name in rest):
            return prefix
        prefix += f"{first}."


def _split(name: str) -> tuple[str, str]:
    """Return the layer and the role of a tensor.

    The tensors of a parametrisation have the roles of ``torch.nn.utils.weight_norm``, which stored
    them as ``weight_g`` and ``weight_v``.
    """
    match = _OF_PARAMETRIZATION.fullmatch(name)
    if match is None:
        layer, _, role = name.rpartition(".")
        return layer, role
    layer, role, own = match[1] or "", match[2], match[3]
    if own not in _NEW_NORM:
        raise Ungrouped(f"the {shown(role)} of its layer {shown(layer)} is parametrised")
    return layer, role + _OLD_NORM[_NEW_NORM.index(own)]


def _without_weight_norm(
    layer: str, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a layer with weights computed, and the role that each is made from."""
    plain: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    for role, tensor in tensors.items():
        base, ending = role[:-2], role[-2:]
        masked = {f"{role.removesuffix('_orig')}{ending}" for ending in ("_u", "_mask")}
        if role.endswith("_orig") and masked & tensors.keys():  # spectral norm, pruning
            raise Ungrouped(f"the {shown(role[:-5])} of its layer {shown(layer)} is parametrised")
        if {base + end for end in _OLD_NORM} <= tensors.keys() and ending in _OLD_NORM:
            sources[base] = base + "_v"
            if base not in plain:
                plain[base] = _scaled(layer, tensors[base + "_g"], tensors[base + "_v"])
        else:
            plain[role], sources[role] = tensor, role
    return plain, sources


def _scaled(layer: str, g: Tensor, v: Tensor) -> Tensor:
    """Return v with its norm replaced by g: along the axes where g has several values."""
    if g.dim() not in (0, v.dim()) or any(
        a not in (1, b) for a, b in zip(g.shape, v.shape, strict=False)
    ):
        raise Ungrouped(
            f"the weight norm of its layer {shown(layer)} has the shapes {list(g.shape)} and "
            f"{list(v.shape)}"
        )
    axes = [axis for axis in range(v.dim()) if g.dim() == 0 or g.shape[axis] == 1]
    wide = v.double()
    norm = torch.linalg.vector_norm(wide, dim=axes, keepdim=True) if axes else wide.abs()
    return (wide * (g.double() / norm)).to(v.dtype)

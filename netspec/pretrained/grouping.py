"""Group the flat names of a state dict into layers: ``features.0.weight`` is of ``features.0``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from netspec.pretrained.layers import Layer, kind_of

WRAPPERS = ("module", "_orig_mod", "model")
"""Prefixes that PyTorch's wrappers and training scripts put before every name."""

COUNTERS = ("num_batches_tracked",)
"""Tensors that inference does not use."""


def layers_of(tensors: Mapping[str, Tensor]) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Return the layers of a state dict in its order, and the names of tensors that are skipped.

    Counters of batches and tensors of integers are skipped.  A prefix that a wrapper has put before
    every name is removed from the names of layers.

    Args:
        tensors: by name.
    """
    kept = {name: tensor for name, tensor in tensors.items() if _is_parameter(name, tensor)}
    prefix = _wrapper(kept)
    groups: dict[str, dict[str, str]] = {}
    for name in kept:
        layer, _, role = name.removeprefix(prefix).rpartition(".")
        groups.setdefault(layer, {})[role] = name
    layers = []
    for layer, names in groups.items():
        own = {role: kept[name] for role, name in names.items()}
        layers.append(Layer(layer, kind_of(own), own, names))
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

"""Load a state dict whole or not at all: check it first, and restore tensors after an error."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from netspec.ir.graph import Graph
from netspec.ir.parameter_names import earlier_names, named_anew
from netspec.runtime.gate import unusable
from netspec.runtime.transforms import outside_transforms

Shapes = Mapping[str, tuple[int, ...]]


class Messages(NamedTuple):
    """The messages that PyTorch collects while it loads."""

    missing: list[str]
    unexpected: list[str]
    errors: list[str]


def fitting(
    state_dict: Mapping[str, Any], prefix: str, shapes: Shapes, messages: Messages
) -> dict[str, Tensor]:
    """Return the tensors of a net by name, without the prefix; empty if a tensor does not fit.

    Args:
        state_dict: the tensors to load.
        prefix: of the net's keys in it.
        shapes: the shape of each tensor of the net.
        messages: missing, unexpected and wrong tensors are added to it, in PyTorch's words.
    """
    keys = {key.removeprefix(prefix): key for key in state_dict if key.startswith(prefix)}
    messages.missing.extend(prefix + name for name in shapes if name not in keys)
    messages.unexpected.extend(key for name, key in keys.items() if name not in shapes)
    tensors = {name: state_dict[keys[name]] for name in shapes if name in keys}
    wrong = complex_ones(state_dict, prefix)
    for name, tensor in tensors.items():
        reason = unusable(tensor)
        if reason is not None:
            wrong.append(f'While copying the parameter named "{prefix}{name}": it is {reason}.')
        elif tensor.shape != shapes[name]:
            wrong.append(
                f"size mismatch for {prefix}{name}: copying a param with shape {tensor.shape} from "
                f"checkpoint, the shape in current model is {torch.Size(shapes[name])}."
            )
    messages.errors.extend(wrong)
    return {} if wrong else tensors


def complex_ones(state_dict: Mapping[str, Any], prefix: str) -> list[str]:
    """Return an error for each complex tensor, whose imaginary part PyTorch would discard."""
    return [
        f'While copying the parameter named "{key}": it is {tensor.dtype}, and must be real.'
        for key, tensor in state_dict.items()
        if key.startswith(prefix) and isinstance(tensor, Tensor) and tensor.is_complex()
    ]


def keep_as_they_are(state_dict: MutableMapping[str, Any], live: Mapping[str, Any]) -> None:
    """Replace each tensor of a state dict that fits by the module's own; loading it does nothing.

    Tensors that do not fit are kept, so that PyTorch reports them.

    Args:
        state_dict: the tensors to load.
        live: the tensors in modules, by the same keys.
    """
    for key, tensor in live.items():
        loaded = state_dict.get(key)
        if isinstance(loaded, Tensor) and not unusable(loaded) and loaded.shape == tensor.shape:
            state_dict[key] = tensor


def name_anew(graph: Graph, state_dict: MutableMapping[str, Any], prefix: str) -> None:
    """Rename the tensors of a net in a state dict, if they have the names of old files."""
    earlier = {prefix + now: prefix + was for now, was in earlier_names(graph).items()}
    renamed = named_anew(earlier, state_dict)
    if renamed is not state_dict:
        state_dict.clear()
        state_dict.update(renamed)


class Before:
    """The tensors of a module and its submodules with copies of their values, to restore them."""

    def __init__(self, root: Module) -> None:
        children = [child for child in root._modules.values() if child is not None]
        modules = [root, *(module for child in children for module in child.modules())]
        self._entries: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (entry, dict(entry)) for m in modules for entry in (m._parameters, m._buffers)
        ]
        self._tensors: list[Tensor] = [
            tensor for _, saved in self._entries for tensor in saved.values() if tensor is not None
        ]
        with outside_transforms(), torch.no_grad():
            self._values = [tensor.clone() for tensor in self._tensors]

    def restore(self) -> None:
        """Restore every tensor and its values."""
        for entry, saved in self._entries:
            entry.update(saved)
        with torch.no_grad():
            if self._tensors:
                torch._foreach_copy_(self._tensors, self._values)

"""Loading a state dict whole or not at all: what is wrong with it, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from netspec.runtime.gate import unusable
from netspec.runtime.transforms import outside_transforms

Shapes = Mapping[str, tuple[int, ...]]


class Messages(NamedTuple):
    """What PyTorch collects while it loads."""

    missing: list[str]
    unexpected: list[str]
    errors: list[str]


def fitting(
    state_dict: Mapping[str, Any], prefix: str, shapes: Shapes, messages: Messages
) -> dict[str, Tensor]:
    """Return the tensors of a net by name, without the prefix; none of them if one does not fit.

    What is missing, unexpected or wrong is added to the messages, in PyTorch's words.
    """
    given = {key.removeprefix(prefix): key for key in state_dict if key.startswith(prefix)}
    messages.missing.extend(prefix + name for name in shapes if name not in given)
    messages.unexpected.extend(key for name, key in given.items() if name not in shapes)
    tensors = {name: state_dict[given[name]] for name in shapes if name in given}
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
    """Return an error for each complex tensor: PyTorch drops its imaginary part."""
    return [
        f'While copying the parameter named "{key}": it is {tensor.dtype}, and has to be real.'
        for key, tensor in state_dict.items()
        if key.startswith(prefix) and isinstance(tensor, Tensor) and tensor.is_complex()
    ]


def keep_as_they_are(state_dict: MutableMapping[str, Any], live: Mapping[str, Any]) -> None:
    """Put what modules hold in the place of each tensor that fits, so that it is not loaded again.

    What does not fit stays, so that PyTorch says so.

    Args:
        state_dict: what is loaded.
        live: what modules hold, by the same keys.
    """
    for key, tensor in live.items():
        given = state_dict.get(key)
        if isinstance(given, Tensor) and not unusable(given) and given.shape == tensor.shape:
            state_dict[key] = tensor


class Before:
    """What a module and those inside it hold, with copies of the values, to go back to."""

    def __init__(self, root: Module) -> None:
        children = [child for child in root._modules.values() if child is not None]
        modules = [root, *(module for child in children for module in child.modules())]
        self._entries: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (entry, dict(entry)) for m in modules for entry in (m._parameters, m._buffers)
        ]
        self._tensors: list[Tensor] = [
            tensor for _, held in self._entries for tensor in held.values() if tensor is not None
        ]
        with outside_transforms(), torch.no_grad():
            self._values = [tensor.clone() for tensor in self._tensors]

    def restore(self) -> None:
        """Make everything what it was."""
        for entry, held in self._entries:
            entry.update(held)
        with torch.no_grad():
            if self._tensors:
                torch._foreach_copy_(self._tensors, self._values)

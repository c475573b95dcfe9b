"""Modules that stop before their final softmax, and those that somebody put in their place."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import Module, Softmax


class Stopping(Module):
    """A module that is called with ``before_softmax=True`` where its final softmax is left out."""


def before_softmax(module: Module, *x: Tensor, outputs: int) -> Any:
    """Call a row for logits, with its hooks; of another module in its place, these are its output.

    Args:
        module: the row, or another one in its place.
        x: what it takes.
        outputs: how many values it returns, with its softmax.

    Raises:
        RuntimeError: another module calls the row itself, or a softmax, or does not return as many
            values.
    """
    if isinstance(module, Stopping):
        return module(*x, before_softmax=True)
    inside = [type(m).__name__ for m in module.modules() if isinstance(m, Stopping | Softmax)]
    y = None if inside else module(*x)
    if inside or outputs != (len(y) if isinstance(y, tuple) else 1):
        reason = f"calls a {inside[0]}" if inside else f"returns other values than {outputs}"
        raise RuntimeError(
            f"the logits of this net are not known: in the place of a row that ends in a softmax "
            f"is a {type(module).__name__} now, which {reason}: let it return logits itself"
        )
    return y

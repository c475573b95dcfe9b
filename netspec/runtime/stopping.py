"""Call modules that end in a softmax, or their replacements, for the values before it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import Module, Softmax


class Stopping(Module):
    """A module that omits its final softmax if it is called with ``before_softmax=True``."""


def before_softmax(module: Module, *x: Tensor, outputs: int) -> Any:
    """Call a row for logits, with its hooks; if it was replaced, return the new module's output.

    Args:
        module: the row, or the module that replaced it.
        x: its arguments.
        outputs: the number of values that the row returns with its softmax.

    Raises:
        RuntimeError: the module that replaced it contains the row or a softmax, or returns another
            number of values.
    """
    if isinstance(module, Stopping):
        return module(*x, before_softmax=True)
    inside = [type(m).__name__ for m in module.modules() if isinstance(m, Stopping | Softmax)]
    y = None if inside else module(*x)
    if inside or outputs != (len(y) if isinstance(y, tuple) else 1):
        reason = f"contains a {inside[0]}" if inside else f"does not return {outputs} values"
        raise RuntimeError(
            "the logits of this net are unknown: a row that ends in a softmax was replaced by a "
            f"{type(module).__name__}, which {reason}: use a module that returns logits"
        )
    return y

"""Run a compiled net in plain PyTorch, for values for which its plan is not exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor


def run_plainly(
    net: Callable[[], Callable[..., Any]],
    changing: AbstractContextManager[object],
    images: Sequence[Tensor],
    out: Sequence[Tensor] | None,
) -> tuple[Tensor, ...]:
    """Return the outputs of a net in plain PyTorch, in the form in which a plan returns them.

    They do not have gradients, are in new memory or in ``out``, and maps are channels-last.

    Args:
        net: returns the net in plain PyTorch.
        changing: the lock of the model's parameters: no thread may load others during the run.
        images: a batch for each input.
        out: tensors for the outputs; by default new ones.
    """
    with changing, torch.no_grad(), torch.autocast(images[0].device.type, enabled=False):
        outputs = net()(*images)
        results = outputs if isinstance(outputs, tuple) else (outputs,)
        if out is not None:
            return tuple(y.copy_(result) for y, result in zip(out, results, strict=True))
        return tuple(
            result.clone(
                memory_format=torch.channels_last if result.dim() == 4 else torch.contiguous_format
            )
            for result in results
        )

"""Answers by the plain net, where a plan is not right for the values that it is given."""

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
    """Return the outputs of a net in plain PyTorch as a plan returns them.

    They have no gradients, lie in new memory or in ``out``, and maps are channels-last.

    Args:
        net: returns the plain net.
        changing: the lock without which nobody loads parameters.
        images: a batch for each input.
        out: where outputs are written to, if not to new memory.
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

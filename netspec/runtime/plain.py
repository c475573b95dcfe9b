"""Answers by the plain net, where a plan is not right for the values that it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def run_plainly(
    net: Callable[..., Any], images: Sequence[Tensor], out: Sequence[Tensor] | None
) -> tuple[Tensor, ...]:
    """Return the outputs of a net in plain PyTorch as a plan returns them.

    They have no gradients, lie in new memory or in ``out``, and maps are channels-last.
    """
    with torch.no_grad(), torch.autocast(images[0].device.type, enabled=False):
        outputs = net(*images)
        results = outputs if isinstance(outputs, tuple) else (outputs,)
        if out is not None:
            return tuple(y.copy_(result) for y, result in zip(out, results, strict=True))
        return tuple(
            result.clone(
                memory_format=torch.channels_last if result.dim() == 4 else torch.contiguous_format
            )
            for result in results
        )

"""Batch normalisation over the batch of all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.ops.bn import BatchNorm
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SynchronisedBatchNorm(BatchNorm):
    """Batch normalisation with the statistics of the images of all ranks.

    mean = sum of x / count, variance = sum of (x - mean)^2 / count

    with sums and counts over all ranks.  The running variance divides by count - 1, as in PyTorch.
    PyTorch's own SyncBatchNorm runs on GPUs only.
    """

    def training_reference(
        self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor
    ) -> Tensor:
        from netspec.ir.collectives import synchronised_batch_norm

        return synchronised_batch_norm(
            x[0],
            parameters["running_mean"],
            parameters["running_var"],
            parameters["weight"],
            parameters["bias"],
            self.momentum,
            self.eps,
        )

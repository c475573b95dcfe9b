"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import POSITIVE, PROBABILITY, keyword
from netspec.ir.growth import Growth, largest
from netspec.ir.operator import Operator, Parameter
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Operator):
    """Batch normalisation of each channel (Ioffe and Szegedy 2015).

    y[c] = weight[c] (x[c] - mean[c]) / sqrt(variance[c] + eps) + bias[c]

    with the mean and variance of the batch during training, and the running ones at inference.

    Parameters: weight, bias [channels].  Buffers: running_mean, running_var [channels].
    """

    name = "bn"
    example = "bn eps=1e-3"
    is_trained = True

    eps: float = keyword(POSITIVE, "added to the variance; implementations differ")
    momentum: float = keyword(
        PROBABILITY, "weight of a new batch in the running statistics", default=0.1
    )

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        channels = (inputs[0].channels,)
        return {"weight": Parameter(channels, value=1.0), "bias": Parameter(channels)}

    def buffers(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        channels = (inputs[0].channels,)
        return {"running_mean": Parameter(channels), "running_var": Parameter(channels, value=1.0)}

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        scale = parameters["weight"].double() / (parameters["running_var"] + self.eps).sqrt()
        shift = largest(scale * parameters["running_mean"]) + largest(parameters["bias"])
        return Growth(largest(scale), shift)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return self._normalised(x[0], parameters, by_batch=False)

    def training_reference(
        self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor
    ) -> Tensor:
        return self._normalised(x[0], parameters, by_batch=True)

    def _normalised(self, x: Tensor, parameters: Mapping[str, Tensor], *, by_batch: bool) -> Tensor:
        import torch.nn.functional as F

        return F.batch_norm(
            x,
            parameters["running_mean"],
            parameters["running_var"],
            parameters["weight"],
            parameters["bias"],
            training=by_batch,
            momentum=self.momentum,
            eps=self.eps,
        )

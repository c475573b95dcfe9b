"""Layer normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import POSITIVE, keyword
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Operator, Parameter
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Operator):
    """Layer normalisation over the channels (Ba et al. 2016).

    y[c, i, j] = weight[c] (x[c, i, j] - mean[i, j]) / sqrt(variance[i, j] + eps) + bias[c]

    with the mean and variance of the channels at each position of a map, as in ConvNeXt (Liu et
    al. 2022, section 2.6), or of all elements of a vector.  The variance is divided by the number
    of channels.  Training and inference compute the same.  PyTorch's default for eps is 1e-5,
    ConvNeXt has 1e-6, Keras 1e-3.

    Parameters: weight, bias [channels].
    """

    name = "ln"
    example = "ln eps=1e-3"
    is_trained = True

    eps: float = keyword(POSITIVE, "added to the variance; implementations differ")

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        channels = (inputs[0].channels,)
        return {"weight": Parameter(channels, value=1.0), "bias": Parameter(channels)}

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return UNKNOWN  # it squares: the result is small, but only while no square overflows

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        channels = (inputs[0].channels,)
        weight, bias = parameters["weight"], parameters["bias"]
        if not inputs[0].is_map:
            return F.layer_norm(x[0], channels, weight, bias, self.eps)
        last = x[0].permute(0, 2, 3, 1)
        return F.layer_norm(last, channels, weight, bias, self.eps).permute(0, 3, 1, 2)

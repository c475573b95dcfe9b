"""Average pooling plus a bias: made when a pass moves a 1x1 convolution before an average pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth, largest
from netspec.ir.operator import Parameter
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AvgPoolBias(AvgPool):
    """Average pooling plus a bias per channel: y[c] = mean of x[c] in the window + b[c].

    The bias is added after the pool: a pool that counts its padding would reduce it at the edges.

    Parameters: bias [channels].
    """

    name = "avgpool_bias"
    is_trained = True

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        return {"bias": Parameter((inputs[0].channels,))}

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return super().growth(inputs)._replace(offset=largest(parameters["bias"]))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return super().reference(inputs, *x) + parameters["bias"].reshape(-1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class AvgPoolBiasRelu(AvgPoolBias):
    """Average pooling, bias and ReLU: y[c] = max(0, mean of x[c] in the window + b[c])."""

    name = "avgpool_bias_relu"

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return super().reference(inputs, *x, **parameters).relu()

"""Convolution whose result is added to another operand, as at the end of a residual block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ConvAdd(Conv):
    """Convolution with bias, plus a second operand of the result's size: y = conv(x) + z."""

    name = "conv_add"
    takes = "many"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        growth = super().growth(inputs, **parameters)
        return growth._replace(gain=growth.gain + 1)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return super().reference(inputs, x[0], **parameters) + x[1]


@dataclass(frozen=True, kw_only=True)
class ConvAddRelu(ConvAdd):
    """Convolution with bias, plus a second operand, then ReLU: y = max(0, conv(x) + z)."""

    name = "conv_add_relu"

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return super().reference(inputs, *x, **parameters).relu()

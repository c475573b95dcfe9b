"""Convolution with ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ConvRelu(Conv):
    """Convolution with bias and ReLU: y = max(0, conv(x))."""

    name = "conv_relu"

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return super().reference(inputs, *x, **parameters).relu()

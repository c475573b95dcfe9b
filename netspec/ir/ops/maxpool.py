"""Max-pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import PAIR, keyword
from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import WindowOperator, padded, pool_padding
from netspec.ir.shapes import Pair, Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class MaxPool(WindowOperator):
    """Max-pooling: the largest value in each window, for each channel separately.

    y[c, i, j] = max over u, v of x[c, i s + u d - p, j s + v d - p]

    with stride s, dilation d and padding p, whose values are minus infinity.  Windows overlap when
    the stride is smaller than the kernel (AlexNet, section 3.4).
    """

    name = "maxpool"
    example = "maxpool 3x2/2, pad=(1, 0, 0, 1)"

    dilation: Pair = keyword(PAIR, "distance between taps", default=(1, 1))

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        from torch import nn

        padding = pool_padding(self.windows(inputs))
        if padding is None:
            return None
        is_ceil = self.round == "ceil"
        return nn.MaxPool2d(self.kernel, self.stride, padding, self.dilation, ceil_mode=is_ceil)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.max_pool2d(
            padded(x[0], self.windows(inputs), value=-float("inf")),
            kernel_size=self.kernel,
            stride=self.stride,
            dilation=self.dilation,
        )

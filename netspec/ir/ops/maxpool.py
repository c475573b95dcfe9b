"""Max-pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import WindowOperator, padded
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MaxPool(WindowOperator):
    """Max-pooling: the largest value in each window, of each channel by itself.

    Windows overlap when the stride is smaller than the kernel (AlexNet, section 3.4).  Padding is
    minus infinity.
    """

    name = "maxpool"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.max_pool2d(
            padded(x[0], self.windows(inputs), value=-float("inf")),
            kernel_size=self.kernel,
            stride=self.stride,
        )

"""Leaky rectified linear unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import keyword, number
from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Operator):
    """Leaky rectified linear unit: y = x if x > 0, else slope x (Maas et al. 2013).

    The default slope of 0.01 is the paper's and PyTorch's.  Darknet and YOLO use 0.1, DCGAN 0.2,
    and Keras has 0.3 (0.2 for TensorFlow's own function).
    """

    name = "leaky_relu"
    example = "leaky_relu slope=0.2"

    slope: float = keyword(number(0, 1), "slope for negative inputs", default=0.01)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.LeakyReLU(self.slope)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.leaky_relu(x[0], self.slope)

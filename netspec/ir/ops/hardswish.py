"""Piecewise quadratic swish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class HardSwish(Operator):
    """Silu with a piecewise linear sigmoid: y = x min(6, max(0, x + 3)) / 6.

    The activation of MobileNetV3 (Howard et al. 2019, section 5.2).  The sigmoid is hardsigmoid,
    with its slope of 1/6.
    """

    name = "hardswish"
    example = "hardswish"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(1.0, peak=6.0)

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.Hardswish()

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.hardswish(x[0])

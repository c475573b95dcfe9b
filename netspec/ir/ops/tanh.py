"""Hyperbolic tangent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import REAL, keyword
from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Tanh(Operator):
    """Hyperbolic tangent: y = scale tanh(slope x).

    LeNet-5 uses ``tanh scale=1.7159, slope=2/3`` (LeCun et al. 1998, appendix A).
    """

    name = "tanh"
    example = "tanh scale=1.7159, slope=2/3"

    scale: float = keyword(REAL, "factor of the result", default=1.0)
    slope: float = keyword(REAL, "factor of the argument", default=1.0)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(0.0, abs(self.scale), peak=abs(self.slope))

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        from torch import nn

        return nn.Tanh() if self.scale == self.slope == 1 else None

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        y = x[0] if self.slope == 1 else x[0] * self.slope
        return y.tanh() if self.scale == 1 else y.tanh() * self.scale

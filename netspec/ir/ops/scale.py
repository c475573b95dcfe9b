"""Multiplication by a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import REAL, positional
from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Scale(Operator):
    """Multiplication by a constant: y = FACTOR x.

    For example, Inception-ResNet scales each residual by 0.1 to 0.3 before it is added (Szegedy et
    al. 2017, section 3.3).  For a trained factor per channel, use gain.
    """

    name = "scale"
    example = "scale -0.3"

    factor: float = positional(REAL, "the constant; it is not trained")

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(abs(self.factor))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0] * self.factor

"""Global average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth
from netspec.ir.operator import Operator, map_of
from netspec.ir.shapes import Field, Shape
from netspec.ir.symbols import by

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool(Operator):
    """Global average pooling: y[c] = mean over i, j of x[c, i, j]; the output is 1 x 1 x channels.

    Network in Network ends with it instead of fully connected layers (Lin et al. 2014, section
    3.2).
    """

    name = "gap"
    example = "gap"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return Shape((1, 1, map_of(self, inputs).channels))

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].over(inputs[0])

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return "one mean of the whole map" if axis < 2 else None

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return by(inputs[0][:2])

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(1.0, peak=prod(inputs[0][:2]))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0].mean(dim=(2, 3), keepdim=True)

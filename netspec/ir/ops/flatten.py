"""Flattening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Field, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Flatten(Operator):
    """Flattening: turns a map into a vector, in (channels, height, width) order."""

    name = "flatten"
    example = "flatten"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return Shape((inputs[0].elements,))

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].over(inputs[0])

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return "*".join(map(str, inputs[0]))

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0].flatten(1)

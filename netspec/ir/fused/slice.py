"""A slice of a map's channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Slice(Operator):
    """The channels ``start`` to ``start + count - 1``, as a view: nothing is copied."""

    name = "slice"

    start: int
    count: int

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        assert self.start + self.count <= inputs[0].channels, f"{self} of {inputs[0]}"
        return Shape((*inputs[0][:-1], self.count))

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0].narrow(1, self.start, self.count)

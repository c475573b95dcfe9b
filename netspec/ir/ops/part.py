"""A part of the channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import COUNT, keyword, positional
from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape, ShapeError
from netspec.ir.symbols import divides

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Part(Operator):
    """One of several equal parts of the channels.

    y[c] = x[(number - 1) C/of + c]

    for C channels.  ``part 1, of=2`` is the first half of the channels and ``part 2, of=2`` the
    second.  It is the channel split of ShuffleNet V2 (Ma et al. 2018, section 3.2).
    """

    name = "part"
    example = "part 2, of=3"

    number: int = positional(COUNT, "number of the part, from 1")
    of: int = keyword(COUNT, "number of equal parts of the channels")

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if not self.number <= self.of:
            yield "NS132", "number", f"there is no part {self.number} of {self.of}"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        *size, channels = inputs[0]
        if divides(self.of, channels) is False:
            raise ShapeError(
                "NS207",
                f"{channels} channels cannot be divided into {self.of} equal parts",
                help="choose a number of parts that divides the input's channels",
                origins=[(0, len(size))],
            )
        return Shape((*size, channels // self.of))

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        last = axis == len(inputs[0]) - 1
        return f"{inputs[0].channels}/{self.of}" if last else None

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        count = inputs[0].channels // self.of
        return x[0].narrow(1, (self.number - 1) * count, count)

"""Upsampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd
from typing import TYPE_CHECKING

from netspec.ir.attributes import FLAG, PAIR, choice, keyword, positional
from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator, map_of
from netspec.ir.reach import MOST_SPANS, Reach
from netspec.ir.shapes import Field, Pair, Shape
from netspec.ir.symbols import is_symbolic

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Upsample(Operator):
    """Upsampling by a whole factor f along the height and the width.

    ``by=nearest`` repeats each value: y[c, i, j] = x[c, floor(i / f), floor(j / f)]

    ``by=bilinear`` interpolates linearly between the four nearest values, along each axis between
    positions p and p + 1 at u = p + t:

    y[i] = (1 - t) x[p] + t x[p + 1]

    with u = (i + 0.5) / f - 0.5 for ``align_corners=off``, which takes values as those of the
    centres of squares, and u = i (n - 1) / (f n - 1) for ``align_corners=on``, which maps the first
    and the last position of the output to those of the n positions of the input.  Beyond the edge,
    the value of the edge is repeated.  PyTorch's and TensorFlow's present default is off, and many
    implementations of U-Net use on, so a bilinear upsampling must set ``align_corners``.
    """

    name = "upsample"
    example = "upsample 2x3, by=bilinear, align_corners=off"

    factor: Pair = positional(PAIR, "factor of the height x that of the width, or one for both")
    by: str = keyword(choice("nearest", "bilinear"), "how values between positions are made")
    align_corners: bool | None = keyword(
        FLAG, "whether the corners of input and output have the same place", default=None
    )

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if self.by == "bilinear" and self.align_corners is None:
            yield (
                "NS133",
                "align_corners",
                "implementations differ on where the corners are",
            )
        if self.by == "nearest" and self.align_corners is not None:
            yield "NS132", "align_corners", "by=nearest repeats values: leave out align_corners"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        height, width, channels = map_of(self, inputs)
        return Shape((height * self.factor[0], width * self.factor[1], channels))

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].through(self._reach(inputs[0][axis], self.factor[axis]) for axis in (0, 1))

    def _reach(self, size: int, factor: int) -> Reach:
        if factor > MOST_SPANS:
            return self._bound(size, factor)
        if self.by == "nearest" or size == 1:
            return Reach(((0, 0),) * factor, 1)
        if not self.align_corners:
            places = [Fraction(2 * i + 1, 2 * factor) - Fraction(1, 2) for i in range(factor)]
            return Reach(tuple((floor(u), ceil(u)) for u in places), 1)
        if is_symbolic(size):  # a bound: u is between i / f - 1 and i / f
            return Reach(tuple((-1, ceil(Fraction(i, factor))) for i in range(factor)), 1)
        turns = gcd(size - 1, factor * size - 1)
        number, advance = (factor * size - 1) // turns, (size - 1) // turns
        if number > MOST_SPANS:
            return self._bound(size, factor)
        places = [Fraction(i * advance, number) for i in range(number)]
        return Reach(tuple((floor(u), ceil(u)) for u in places), advance)

    def _bound(self, size: int, factor: int) -> Reach:
        """Return the reach with one span, whose ends are fractions, for any number of outputs."""
        step = Fraction(1, factor)
        if self.by == "nearest" or size == 1:
            return Reach(((step - 1, Fraction(0)),), step)
        if not self.align_corners:
            return Reach(((step - Fraction(3, 2), Fraction(1, 2)),), step)
        if is_symbolic(size):
            return Reach(((step - 2, 1 - step),), step)
        step = Fraction(1, factor * size - 1)
        return Reach(((step - 1, 1 - step),), step * (size - 1))

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return f"{inputs[0][axis]}*{self.factor[axis]}" if axis < 2 else None

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        from torch import nn

        if self.by == "nearest":  # PyTorch's repeats wrong values for some factors, such as 41
            return None
        return nn.Upsample(
            scale_factor=self._scales, mode=self.by, align_corners=self.align_corners
        )

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        if self.by == "nearest":
            down, right = self.factor
            return x[0].repeat_interleave(down, 2).repeat_interleave(right, 3)
        return F.interpolate(
            x[0], scale_factor=self._scales, mode=self.by, align_corners=self.align_corners
        )

    @property
    def _scales(self) -> tuple[float, float]:
        return float(self.factor[0]), float(self.factor[1])

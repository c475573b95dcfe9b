"""The positions of an operand that each output depends on, along one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, lcm
from typing import Any

from netspec.ir.symbols import is_symbolic, largest, smallest

Span = tuple[Any, Any]
"""The first and the last position that an output depends on."""

MOST_SPANS = 4096
"""The largest number of spans for which positions are exact; a reach with more is a bound."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The positions of an operand that outputs depend on, along one axis.

    Output q n + r, with n spans, depends on the positions from first[r] + q advance to
    last[r] + q advance.  A window has one span, and its advance is the stride.  After upsampling,
    neighbouring outputs depend on different numbers of positions, so there are several spans:
    (0, 0), (0, 1) with advance 1 means that every second output lies between two positions.

    Spans and advance may be fractions; only whole positions between the ends count.
    """

    spans: tuple[Span, ...]
    advance: Any

    @property
    def is_exact(self) -> bool:
        """Return False if ends and advance are fractions, and only bounds of the positions."""
        return not isinstance(self.advance, Fraction)

    @property
    def stride(self) -> Any:
        """Return the positions from one output to the next, a fraction after upsampling."""
        if len(self.spans) == 1:
            return self.advance
        return _simple(Fraction(self.advance, len(self.spans)))

    @staticmethod
    def of(spans: tuple[Span, ...], stride: Any) -> Reach:
        """Return the reach with these spans, and a stride from one output to the next."""
        return Reach(spans, _simple(stride * len(spans)))

    @property
    def uneven(self) -> tuple[Span, ...]:
        """Return the spans if start, size and stride do not determine the positions, else ()."""
        (first, last), is_one = self.spans[0], len(self.spans) == 1
        return () if is_one and _up(first) == first and _down(last) == last else self.spans

    @property
    def size(self) -> int:
        """Return the largest number of positions that one output depends on."""
        return largest(*(_down(last - first) + 1 for first, last in self.spans))

    @property
    def start(self) -> int:
        """Return the first position that output 0 depends on."""
        return self.at(0)[0]

    def at(self, output: int) -> tuple[int, int]:
        """Return the first and the last position that an output depends on."""
        turns, number = divmod(output, len(self.spans))
        first, last = self.spans[number]
        return _up(first + turns * self.advance), _down(last + turns * self.advance)

    def over(self, outputs: int) -> Reach:
        """Return the reach of an output that depends on all of the first ``outputs`` outputs."""
        if is_symbolic(outputs):
            turns = (outputs - 1) // len(self.spans)
            last = largest(*(last for _, last in self.spans)) + turns * self.advance
        else:
            last = self.at(outputs - 1)[1]
        return Reach(((self.start, last),), _up(self.stride))

    def through(self, after: Reach) -> Reach:
        """Return what the outputs of a second operator depend on, if it has ``after``, and its
        operand has this reach."""
        inner, outer = len(self.spans), len(after.spans)
        if self.is_exact and after.is_exact:
            repeats = lcm(after.advance, inner) // after.advance
            if repeats * outer <= MOST_SPANS:
                seen = [after.at(output) for output in range(repeats * outer)]
                spans = tuple((self.at(first)[0], self.at(last)[1]) for first, last in seen)
                return Reach(spans, repeats * after.advance // inner * self.advance)
        (low, high), (after_low, after_high) = self._bounds(), after._bounds()
        ends = low + self.stride * after_low, high + self.stride * after_high
        return Reach.of((ends,), self.stride * after.stride)

    def _bounds(self) -> Span:
        """Return numbers a, b with first >= output stride + a, last <= output stride + b."""
        stride = self.stride
        firsts = (first - number * stride for number, (first, _) in enumerate(self.spans))
        lasts = (last - number * stride for number, (_, last) in enumerate(self.spans))
        return smallest(*firsts), largest(*lasts)

    @staticmethod
    def union(reaches: Sequence[Reach]) -> Reach:
        """Return the smallest reach that covers all.

        If the strides differ, it has the largest one, and covers the others at its first outputs.
        """
        stride = max(reach.stride for reach in reaches)
        number = lcm(*(len(reach.spans) for reach in reaches if reach.stride == stride))
        if number > MOST_SPANS or not all(reach.is_exact for reach in reaches):
            bounds = [reach._bounds() for reach in reaches]
            lows, highs = zip(*bounds, strict=True)
            return Reach(((smallest(*lows), largest(*highs)),), stride)
        seen = [[reach.at(output) for reach in reaches] for output in range(number)]
        spans = tuple(
            (smallest(*(first for first, _ in spans)), largest(*(last for _, last in spans)))
            for spans in seen
        )
        return Reach.of(spans, stride)


def _simple(number: Any) -> Any:
    """Return a whole fraction as an int."""
    return int(number) if isinstance(number, Fraction) and number.denominator == 1 else number


def _up(position: Any) -> Any:
    return ceil(position) if isinstance(position, Fraction) else position


def _down(position: Any) -> Any:
    return floor(position) if isinstance(position, Fraction) else position

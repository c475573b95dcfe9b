"""Clipping to a range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import REAL, positional
from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Clip(Operator):
    """Clipping to a range: y = min(high, max(low, x)).

    ``clip -1, 1`` is the hard tanh (Collobert 2004).  ``clip 0, 6`` has a word of its own, relu6.
    """

    name = "clip"
    example = "clip -0.5, 1.5"

    low: float = positional(REAL, "smallest result")
    high: float = positional(REAL, "largest result, above LOW")

    def __eq__(self, other: object) -> bool:
        # By the range only: relu6 and `clip 0, 6` compute the same, and are equal.
        if not isinstance(other, Clip):
            return NotImplemented
        return (self.low, self.high) == (other.low, other.high)

    def __hash__(self) -> int:
        return hash((Clip, self.low, self.high))

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if self.low >= self.high:
            yield "NS132", "high", f"{self.high:g} is not above the smallest result, {self.low:g}"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        # A result is x, or the end of the range that is nearer to 0 if the range leaves 0 out.
        nearest = max(self.low, -self.high, 0.0)
        return Growth(1.0, nearest, most=max(abs(self.low), abs(self.high)))

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.Hardtanh(self.low, self.high)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.hardtanh(x[0], self.low, self.high)

"""Average pooling to a given size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, prod
from typing import TYPE_CHECKING

from netspec.ir.attributes import PAIR, positional
from netspec.ir.growth import Growth
from netspec.ir.operator import Operator, map_of
from netspec.ir.reach import MOST_SPANS, Reach
from netspec.ir.shapes import Field, Pair, Shape, ceiling
from netspec.ir.symbols import any_symbolic

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePool(Operator):
    """Average pooling to a given size, whatever that of the input (PyTorch's AdaptiveAvgPool2d).

    y[c, i, j] = mean of x[c, u, v] over floor(i H/h) <= u < ceil((i + 1) H/h),
    floor(j W/w) <= v < ceil((j + 1) W/w)

    for an input of H x W and an output of h x w.  If h divides H, the windows are those of an
    average pool with kernel and stride H/h.  Otherwise windows overlap, and some are larger than
    others.  torchvision's AlexNet and VGG have ``adaptive_avgpool 6`` and ``adaptive_avgpool 7``
    before their first fully connected layer.
    """

    name = "adaptive_avgpool"
    example = "adaptive_avgpool 4x3"

    size: Pair = positional(PAIR, "height x width of the output, or one number for both")

    def bounds(self, axis: int, inputs: Sequence[Shape]) -> list[Pair]:
        """Return the first position of each window along an axis, and the one after its last."""
        return [self._window(i, axis, inputs) for i in range(self.size[axis])]

    def _window(self, output: int, axis: int, inputs: Sequence[Shape]) -> Pair:
        size, count = inputs[0][axis], self.size[axis]
        return output * size // count, ceiling((output + 1) * size, count)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return Shape((*self.size, map_of(self, inputs).channels))

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        if any_symbolic(inputs[0][:2]):  # a bound: windows of an unknown size are parts of the map
            return fields[0].over(inputs[0])
        return fields[0].through(self._reach(axis, inputs) for axis in (0, 1))

    def _reach(self, axis: int, inputs: Sequence[Shape]) -> Reach:
        size, count = inputs[0][axis], self.size[axis]
        turns = gcd(size, count)
        if count // turns > MOST_SPANS:  # a bound, without one span for each output
            ends = Fraction(1 - count, count), Fraction(size - 1, count)
            return Reach((ends,), Fraction(size, count))
        spans = (self._window(i, axis, inputs) for i in range(count // turns))
        return Reach(tuple((first, end - 1) for first, end in spans), size // turns)

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return "the size of the pool's output" if axis < 2 else None

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        windows = [max(end - first for first, end in self.bounds(axis, inputs)) for axis in (0, 1)]
        return Growth(1.0, peak=prod(windows))

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        from torch import nn

        return nn.AdaptiveAvgPool2d(self.size)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.adaptive_avg_pool2d(x[0], self.size)

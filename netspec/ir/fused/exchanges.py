"""Exchanges between the columns of a net: operators that read other columns' channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Exchange(Operator):
    """An exchange between ``columns`` devices, each of which has as many channels of a value.

    ``shares_there`` and ``shares_back`` count what every device sends to every other one, forward
    and in the gradient, in parts of the whole value.
    """

    columns: int

    shares_there: ClassVar[int] = 0
    shares_back: ClassVar[int] = 0

    def crossing(self, output: Shape) -> tuple[int, int]:
        """The elements that cross between all devices for one image: forward, and back.

        A share is 1 / columns of the value; each of ``columns`` devices sends it to all others.
        """
        share = (self.columns - 1) * output.elements
        return self.shares_there * share, self.shares_back * share


@dataclass(frozen=True, kw_only=True)
class Gather(Exchange):
    """y = the channels of all columns, for readers that compute the same on every one.

    dx = this column's channels of dy, which every column has: nothing crosses.
    """

    name = "gather"
    shares_there = 1

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return Shape((*inputs[0][:-1], self.columns * inputs[0].channels))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        from netspec.ir.collectives import gather

        return gather(x[0])


@dataclass(frozen=True, kw_only=True)
class GatherForParts(Gather):
    """y = the channels of all columns, for readers of which every column has a part.

    dx = this column's channels of the sum of dy over columns: a reduce-scatter.
    """

    name = "gather_for_parts"
    shares_back = 1

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        from netspec.ir.collectives import gather_for_parts

        return gather_for_parts(x[0])


@dataclass(frozen=True, kw_only=True)
class ForParts(Exchange):
    """y = x, which every column has, for readers of which every column has a part.

    dx = the sum of dy over columns: an all-reduce, a reduce-scatter and a gather.
    """

    name = "for_parts"
    shares_back = 2

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        from netspec.ir.collectives import for_parts

        return for_parts(x[0])

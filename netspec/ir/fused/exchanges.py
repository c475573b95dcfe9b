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
    """An exchange between ``columns`` devices, each of which has an equal part of the channels.

    ``shares_there`` and ``shares_back`` are the number of such parts that each device sends to each
    other device, in the forward and in the backward pass.
    """

    columns: int

    shares_there: ClassVar[int] = 0
    shares_back: ClassVar[int] = 0

    def crossing(self, output: Shape) -> tuple[int, int]:
        """Return the elements sent between all devices per image: (forward, backward).

        A share is 1 / columns of the value; each of ``columns`` devices sends it to all others.
        """
        share = (self.columns - 1) * output.elements
        return self.shares_there * share, self.shares_back * share


@dataclass(frozen=True, kw_only=True)
class Gather(Exchange):
    """y = the channels of all columns, for consumers that compute the same on every column.

    dx = this column's channels of dy.  Every column has the same dy, so nothing is sent back.
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
    """y = the channels of all columns, for consumers of which every column computes a part.

    dx = this column's channels of the sum of dy over columns: a reduce-scatter.
    """

    name = "gather_for_parts"
    shares_back = 1

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        from netspec.ir.collectives import gather_for_parts

        return gather_for_parts(x[0])


@dataclass(frozen=True, kw_only=True)
class ForParts(Exchange):
    """y = x, which every column has, for consumers of which every column computes a part.

    dx = the sum of dy over columns: an all-reduce, that is a reduce-scatter and a gather.
    """

    name = "for_parts"
    shares_back = 2

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        from netspec.ir.collectives import for_parts

        return for_parts(x[0])

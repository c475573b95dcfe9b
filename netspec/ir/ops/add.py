"""Addition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import AXES, Shape, ShapeError
from netspec.ir.symbols import same

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Add(Operator):
    """Addition of inputs of equal size, element by element: y = x_1 + x_2 + ...

    A residual block ends with it (He et al. 2016, section 3.2).
    """

    name = "add"
    example = "add { conv 1x1, 6; identity }"
    takes = "many"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        first = inputs[0]
        for operand, shape in enumerate(inputs):
            equal = list(map(same, first, shape))
            if len(shape) == len(first) and all(equal):
                continue
            is_open = len(shape) == len(first) and False not in equal  # symbols: not proved
            differ = "may differ" if is_open else "differ"
            cause = None if is_open else False
            axis = next((i for i, is_equal in enumerate(equal) if is_equal is cause), 0)
            quantity = "size" if len(shape) != len(first) else AXES[axis if first.is_map else 2]
            raise ShapeError(
                "NS205",
                f"add inputs {differ} in {quantity}: {first} and {shape}",
                label=f"branch {operand + 1} is {shape}",
                help="make the sizes equal: conv 1x1 changes channels, pad= and stride= change "
                "the height and width",
                origins=[(0, axis), (operand, axis)],
            )
        return first

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(len(inputs))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return reduce(add, x)

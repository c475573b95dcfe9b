"""Multiplication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import TYPE_CHECKING

from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import AXES, Shape, ShapeError
from netspec.ir.symbols import same

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Mul(Operator):
    """Multiplication of inputs, element by element: y = x_1 x_2 ...

    An input of 1 x 1 x channels multiplies every position of a map.  A squeeze-and-excitation
    block ends with it (Hu et al. 2018, section 3):
    ``mul { identity; gap | conv 1x1, 16 | relu | conv 1x1, 64 | sigmoid }`` for 64 channels.
    All other inputs have equal sizes.
    """

    name = "mul"
    example = "mul { conv 1x1, 6; gap | conv 1x1, 6 | sigmoid }"
    takes = "many"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        place = next((i for i, shape in enumerate(inputs) if not _is_factor(shape)), 0)
        first = inputs[place]
        for operand, shape in enumerate(inputs):
            start = 2 if first.is_map and _is_factor(shape) else 0
            equal = list(map(same, first[start:], shape[start:]))
            if len(shape) == len(first) and all(equal):
                continue
            is_open = len(shape) == len(first) and False not in equal  # symbols: not proved
            differ = "may differ" if is_open else "differ"
            cause = None if is_open else False
            axis = next((start + i for i, is_equal in enumerate(equal) if is_equal is cause), 0)
            quantity = "size" if len(shape) != len(first) else AXES[axis if first.is_map else 2]
            raise ShapeError(
                "NS205",
                f"mul inputs {differ} in {quantity}: {first} and {shape}",
                label=f"branch {operand + 1} is {shape}",
                help=_help(first, shape),
                origins=[(place, axis), (operand, axis)],
            )
        return first

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return UNKNOWN  # it multiplies

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return reduce(mul, x)


def _is_factor(shape: Shape) -> bool:
    """Return True if this is the shape of one number per channel, 1 x 1 x channels."""
    return shape.is_map and tuple(shape[:2]) == (1, 1)


def _help(first: Shape, shape: Shape) -> str:
    if first.is_map != shape.is_map:
        return "use conv 1x1 after gap instead of fc: a factor per channel is a map of 1x1xchannels"
    return "make the sizes equal, or one of them 1x1 and as many channels: gap makes a map 1x1"

"""Concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import AXES, Shape, ShapeError
from netspec.ir.symbols import same, total

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Concat(Operator):
    """Concatenation of maps along their channels, or of vectors, in the order of the branches.

    GoogLeNet's inception modules end with it (Szegedy et al. 2015, section 4).
    """

    name = "concat"
    example = "concat { conv 1x1, 4; identity }"
    takes = "many"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        first = inputs[0]
        for operand, shape in enumerate(inputs):
            if shape.is_map != first.is_map:
                raise ShapeError(
                    "NS205",
                    f"concat joins maps or vectors, not both: {first} and {shape}",
                    label=f"branch {operand + 1} is {shape}",
                    help="use gap | flatten, or fc, to turn a map into a vector",
                    origins=[(0, 0), (operand, 0)],
                )
            for axis in range(len(shape) - 1):
                equal = same(shape[axis], first[axis])
                if not equal:
                    differ = "differ" if equal is False else "may differ"  # symbols: not proved
                    sizes = f"{first[axis]} and {shape[axis]}"
                    raise ShapeError(
                        "NS204",
                        f"concat inputs {differ} in {AXES[axis]}: {sizes}",
                        label=f"branch {operand + 1} is {shape}",
                        help="make the branches agree with pad=, stride= or round=",
                        origins=[(0, axis), (operand, axis)],
                    )
        return Shape((*first[:-1], total(shape.channels for shape in inputs)))

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        last = axis == len(inputs[0]) - 1
        return " + ".join(str(s.channels) for s in inputs) if last else None

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch

        return torch.cat(x, dim=1)

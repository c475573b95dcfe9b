"""The part of an image that an activation depends on: its receptive field, cut at the borders."""

from __future__ import annotations

from typing import NamedTuple

from netspec.ir.graph import Graph, Stage
from netspec.ir.reach import Reach
from netspec.ir.shapes import Field
from netspec.see.deconvnet import Rule, rule_of

Interval = tuple[int, int]
"""The first and the last position along an axis."""


class Box(NamedTuple):
    """A rectangle of an image: rows top to bottom - 1 and columns left to right - 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def of_tensor(self) -> tuple[object, slice, slice]:
        """The index of the rectangle in a tensor or array [..., H, W]."""
        return (..., slice(self.top, self.bottom), slice(self.left, self.right))

    @property
    def of_pixels(self) -> tuple[slice, slice]:
        """The index of the rectangle in pixels [H, W, C]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def crop_of(graph: Graph, row: str, position: tuple[int, int] = (0, 0)) -> Box:
    """Return the smallest rectangle of the image that contains all pixels an activation depends on.

    It is followed back from the activation through the stages, and cut at the borders of every
    map on the way: no pixel outside changes the activation, not even by rounding.  As in a
    projection, normalisations over positions (``lcn``, ``gn``) are ignored: their statistics depend
    on larger parts of the image.

    Args:
        graph: of a net with one input.
        row: a row or stage.
        position: the row and column of the activation in its map; 0, 0 for a vector.

    Raises:
        LabelError: the net does not have the row.
    """
    end = graph.find(row)
    needed: dict[str, tuple[Interval, Interval]] = {
        end: ((position[0], position[0]), (position[1], position[1]))
    }
    for stage in reversed(list(graph.stages())):
        if stage.name not in needed:
            continue
        outputs = needed[stage.name]
        for operand in graph.operands(stage.name):
            shape = graph.stage(operand).known_shape
            sizes = tuple(shape[:2]) if shape.is_map else (1, 1)
            seen = [
                _inside(reach, interval, size)
                for reach, interval, size in zip(
                    _reaches(graph, stage), outputs, sizes, strict=True
                )
            ]
            if operand in needed:
                seen = [_joined(*both) for both in zip(seen, needed[operand], strict=True)]
            needed[operand] = seen[0], seen[1]
    (top, bottom), (left, right) = needed[graph.inputs[0]]
    return Box(top, left, bottom + 1, right + 1)


def largest_crop(graph: Graph, row: str) -> tuple[int, int]:
    """Return the height and width of the largest crop of a row's activations."""
    shape = graph.stage(graph.find(row)).known_shape
    if not shape.is_map:
        box = crop_of(graph, row)
        return box.height, box.width
    # the rows of a crop depend on the row of the activation alone, the columns on its column
    return (
        max(crop_of(graph, row, (down, 0)).height for down in range(shape[0])),
        max(crop_of(graph, row, (0, across)).width for across in range(shape[1])),
    )


def _reaches(graph: Graph, stage: Stage) -> tuple[Reach, Reach]:
    """Return the positions of a stage's operands that its outputs depend on, in both axes."""
    own = [Field()] * len(graph.operands(stage.name))
    if rule_of(stage.op) is Rule.PASSED:
        return own[0].reaches
    return stage.op.field(own, graph.shapes_into(stage.name)).reaches


def _inside(reach: Reach, outputs: Interval, size: int) -> Interval:
    """Return the positions, of ``size``, that a range of outputs depends on."""
    ends = [reach.at(output) for output in range(outputs[0], outputs[1] + 1)]
    first, last = min(first for first, _ in ends), max(last for _, last in ends)
    return min(max(first, 0), size - 1), max(min(last, size - 1), 0)


def _joined(one: Interval, other: Interval) -> Interval:
    return min(one[0], other[0]), max(one[1], other[1])

"""The lanes of a graph's drawing: what each column of a net computes, and where they exchange."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from netspec.ir.columns import column_count, parts
from netspec.ir.graph import Graph
from netspec.ir.operator import Operator
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.shapes import Shape
from netspec.lowering.passes.exchange import column_of
from netspec.views.boxes import Box, Contents, Fork, Size


class Way(NamedTuple):
    """An edge from a lane of an item to a lane of another; lanes are counted from 0."""

    tail: int
    head: int
    is_exchange: bool
    """True if the reader is on another column, or on all of them."""


class Lanes:
    """The lanes of the items of a drawing.

    Args:
        graph: The graph of a net.
        contents: The items of its drawing.
    """

    def __init__(self, graph: Graph, contents: Contents) -> None:
        self.number = column_count(graph)
        self._items = contents.items
        self._parts = parts(graph) if self.number > 1 else {}
        self._into = {edge.head: edge.tail for edge in contents.edges if edge.is_seen}

    def of(self, name: str) -> int:
        """Return the number of lanes of an item: 1, or one per column."""
        item = self._items[name]
        while isinstance(item, Fork | Size):
            item = self._items[self._into[item.name]]
        is_split = isinstance(item, Box) and item.name in self._parts
        return self.number if is_split and self._parts[item.name].makes else 1

    def ways(self, tail: str, head: str) -> Iterator[Way]:
        """Yield the edges between the lanes of two items."""
        lanes, others = self.of(tail), self.of(head)
        item = self._items[head]
        reads_own = isinstance(item, Fork | Size) or (
            isinstance(item, Box) and item.name in self._parts and self._parts[item.name].reads
        )
        for lane in range(lanes):
            for other in range(others):
                is_apart = lanes > 1 and (others == 1 or lane != other)
                if not (is_apart and others > 1 and reads_own):
                    yield Way(lane, other, is_apart)

    def shape(self, name: str, shape: Shape) -> Shape:
        """Return the size of one lane of an item."""
        return Shape((*shape[:-1], shape[-1] // self.of(name)))

    def operator(self, name: str, op: Operator) -> Operator:
        """Return what one lane of an item computes of an operator, with its own channels."""
        if self.of(name) > 1 and isinstance(op, Conv | FullyConnected):
            return column_of(op, 0, self.number)
        return op

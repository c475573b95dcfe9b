"""``channels`` in arguments: the channels of the input of a stage, while the graph is made.

Blocks are expanded before their stages are in the graph, so the value of such an argument is
computed later, when the stages before it are in the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netspec.ir.graph import Graph
from netspec.ir.shapes import Shape, ShapeError
from netspec.ir.symbols import TooLarge, is_small
from netspec.ir.values import Value

if TYPE_CHECKING:
    from netspec.language.body import Operands
    from netspec.language.scope import Unknown

CHANNELS = "channels"
"""The word for the channels of a stage's input."""


class Sizes:
    """Shapes of the stages of a graph that grows, each computed when it is needed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._known: dict[str, Shape | None] = {}

    def of(self, name: str) -> Shape | None:
        """Return the shape of a stage, or None if a stage before it does not fit its input.

        Such a stage is reported when the sizes of the whole net are inferred.
        """
        waiting = [name]
        while waiting:  # a net may be deeper than Python's stack
            stage = waiting[-1]
            operands = self.graph.operands(stage)
            unknown = [operand for operand in operands if operand not in self._known]
            waiting += unknown
            if not unknown:
                self._known[waiting.pop()] = self._shape(stage, [self._known[o] for o in operands])
        return self._known[name]

    def _shape(self, name: str, operands: list[Shape | None]) -> Shape | None:
        inputs = [shape for shape in operands if shape is not None]
        if len(inputs) < len(operands):
            return None
        try:
            shape = self.graph.stage(name).op.shape(inputs)
        except (ShapeError, TooLarge):
            return None
        return shape if all(map(is_small, shape)) else None


@dataclass(slots=True, eq=False)
class Incoming:
    """The stages that a stage or a call of a block reads, once they are in the graph."""

    sizes: Sizes
    operands: Operands = None

    def shape(self) -> Shape | None:
        """Return the shape of the one input, or None if it is not known."""
        return self.sizes.of(self.operands[0]) if self.operands else None


@dataclass(slots=True, eq=False)
class Later:
    """The value of an argument of a block that depends on the channels of the block's input."""

    compute: Callable[[], Value | Unknown]
    known: list[Value | Unknown] = field(default_factory=list)

    def value(self) -> Value | Unknown:
        """Return the value, computed once; Unknown after a reported mistake."""
        if not self.known:
            self.known.append(self.compute())
        return self.known[0]

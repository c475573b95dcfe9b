"""The plan that inference runs: a list of steps over slots, made from the rewritten graph.

A *slot* is the value of a stage.  It is a *buffer*, or a slice of a buffer's channels: the parts of
a concatenation are slices of its buffer, and slices are views.  A plan contains no tensors.  It is
plain data, can be written as JSON and is compared by value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Graph
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.flatten import Flatten
from netspec.ir.shapes import Shape
from netspec.lowering.arena import Lifetime, arrange

COPY = "copy"
"""The implementation of a concatenation that copies parts that were not computed in place."""


@dataclass(frozen=True)
class Slot:
    """The value of a stage: ``shape``, at channel ``start`` of its buffer."""

    stage: str
    shape: Shape
    buffer: int
    start: int = 0


@dataclass(frozen=True)
class Buffer:
    """Memory for one image: ``shape``, at element ``offset`` of the arena.

    Step ``first`` is the first that writes it, step ``last`` the last that reads it.  Step -1
    writes the inputs.
    """

    shape: Shape
    first: int
    last: int
    offset: int = 0


@dataclass(frozen=True)
class Step:
    """One launch: the implementation of a stage's operator, and the slots it reads and writes.

    ``frees`` are the slots whose buffers no later step needs.
    """

    stage: str
    op: str
    implementation: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    frees: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Steps over slots.  Sizes are in elements for one image.

    Attributes:
        inputs, outputs: numbers of slots.
        arena: the size of the memory that all buffers share.
        bound: the largest size that one step needs, a lower bound of ``arena``.
        total: the sum of the sizes of all buffers.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    slots: tuple[Slot, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    arena: int
    bound: int
    total: int

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        return asdict(self)


class Ability(NamedTuple):
    """The places where an implementation can write its output.

    Attributes:
        into_slices: it can write a slice of a buffer's channels.
        apart: it can write each slice of its output to a separate buffer.  This is used only if
            all readers of the output are slices.
    """

    into_slices: bool = False
    apart: bool = False


def is_view(graph: Graph, name: str) -> bool:
    """Return True if the value of a stage has the memory layout of its operand.

    Maps are channels-last, so a flatten of a map changes the order of elements, except for a 1x1
    map.
    """
    op = graph.stage(name).op
    if isinstance(op, Flatten):
        (shape,) = graph.shapes_into(name)
        return not shape.is_map or shape.elements == shape.channels
    return isinstance(op, Slice)


def plan(graph: Graph, chosen: Mapping[str, str], abilities: Mapping[str, Ability]) -> Plan:
    """Return the plan of a graph.

    Args:
        graph: the rewritten graph.
        chosen: the name of the implementation of each stage that computes.
        abilities: the ability of the implementation of each stage; a stage not in it has none.
    """
    return _Planner(graph, chosen, abilities).plan()


class _Planner:
    def __init__(
        self, graph: Graph, chosen: Mapping[str, str], abilities: Mapping[str, Ability]
    ) -> None:
        self.graph, self.chosen, self.abilities = graph, chosen, abilities
        self.slots: list[Slot] = []
        self.slot_of: dict[str, int] = {}
        self.shapes: list[Shape] = []
        self.steps: list[Step] = []
        self.in_place: dict[str, tuple[str, int]] = {}
        """For a value that is computed in place: its concatenation, and its first channel there."""
        self.apart: dict[str, tuple[str, ...]] = {}
        """For a stage that writes its slices to separate buffers: these slices."""

    def plan(self) -> Plan:
        graph = self.graph
        # Three loops, in this order: a slice can be computed in a concatenation only if its stage
        # writes slices apart, and a value's buffer depends on the concatenation that claimed it.
        for stage in graph.stages():
            if self.abilities.get(stage.name, Ability()).apart:
                slices = self._slices(stage.name)
                if slices:
                    self.apart[stage.name] = slices
        for stage in graph.stages():
            if isinstance(stage.op, Concat):
                self._claim(stage.name)
        for stage in graph.stages():
            self._add(stage.name)
        return self._finished()

    def _slices(self, name: str) -> tuple[str, ...]:
        """Return the slices of a stage in the order of channels, or () if it has other readers.

        The slices must cover all channels without gaps or overlaps: otherwise () is returned too,
        because a channel would have no buffer or two.
        """
        if name in self.graph.outputs:
            return ()
        starts: dict[int, tuple[int, str]] = {}  # first channel: (channel after the last, slice)
        for reader in self.graph.consumers(name):
            op = self.graph.stage(reader).op
            if not isinstance(op, Slice):
                return ()
            starts[op.start] = op.start + op.count, reader
        slices: list[str] = []
        at, end = 0, self.graph.stage(name).known_shape.channels
        while at in starts:
            at, reader = starts.pop(at)
            slices.append(reader)
        return tuple(slices) if at == end and not starts else ()

    def _claim(self, name: str) -> None:
        """Mark the operands of a concatenation that can be computed in its buffer."""
        start = 0
        operands = self.graph.operands(name)
        for operand in operands:
            # A value has one buffer: an operand that appears twice, or in two concatenations, is
            # computed in one place and copied to the other.
            is_once = operand not in self.in_place and operands.count(operand) == 1
            if is_once and self._writes_into_slices(operand):
                self.in_place[operand] = (name, start)
            start += self.graph.stage(operand).known_shape.channels

    def _writes_into_slices(self, name: str) -> bool:
        if isinstance(self.graph.stage(name).op, Slice):
            (name,) = self.graph.operands(name)
            if name not in self.apart:
                return False
        elif is_view(self.graph, name):  # no step computes it, so no step can write it elsewhere
            return False
        return self.abilities.get(name, Ability()).into_slices

    def _add(self, name: str) -> None:
        graph, operands = self.graph, self.graph.operands(name)
        stage = graph.stage(name)
        if name in self.apart:
            writes = tuple(self._slot(part) for part in self.apart[name])
        elif is_view(graph, name):
            if name not in self.slot_of:  # otherwise it was written apart
                self._view(name, operands[0])
            return
        else:
            writes = (self._slot(name),)
        if not operands:
            return
        implementation = self.chosen.get(name, COPY)
        if isinstance(stage.op, Concat):
            operands = tuple(o for o in operands if self.in_place.get(o, ("",))[0] != name)
            if not operands:
                return
        reads = tuple(self.slot_of[operand] for operand in operands)
        self.steps.append(Step(name, stage.op.name, implementation, reads, writes))

    def _slot(self, name: str) -> int:
        """Return the slot of a value, in a new buffer or in that of its concatenation."""
        if name in self.slot_of:
            return self.slot_of[name]
        shape = self.graph.stage(name).known_shape
        if name in self.in_place:
            whole, start = self.in_place[name]
            slot = self.slots[self._slot(whole)]
            return self._new(Slot(name, shape, slot.buffer, slot.start + start))
        self.shapes.append(shape)
        return self._new(Slot(name, shape, len(self.shapes) - 1))

    def _view(self, name: str, operand: str) -> int:
        under, op = self.slots[self.slot_of[operand]], self.graph.stage(name).op
        start = under.start + (op.start if isinstance(op, Slice) else 0)
        return self._new(Slot(name, self.graph.stage(name).known_shape, under.buffer, start))

    def _new(self, slot: Slot) -> int:
        self.slots.append(slot)
        self.slot_of[slot.stage] = len(self.slots) - 1
        return self.slot_of[slot.stage]

    def _finished(self) -> Plan:
        graph = self.graph
        inputs = tuple(self.slot_of[name] for name in graph.inputs)
        outputs = tuple(self.slot_of[name] for name in graph.outputs)
        lives: dict[int, tuple[int, int]] = {self.slots[i].buffer: (-1, -1) for i in inputs}
        for number, step in enumerate(self.steps):
            for i in (*step.writes, *step.reads):
                first, _ = lives.get(self.slots[i].buffer, (number, number))
                lives[self.slots[i].buffer] = (first, number)
        # Outputs are copied out after the last step, so no step may reuse their buffers.
        for i in outputs:
            lives[self.slots[i].buffer] = (lives[self.slots[i].buffer][0], len(self.steps))
        order = range(len(self.shapes))
        lifetimes = [Lifetime(self.shapes[b].elements, *lives.get(b, (-1, -1))) for b in order]
        arena = arrange(lifetimes)
        buffers = tuple(
            Buffer(self.shapes[b], lifetimes[b].first, lifetimes[b].last, arena.offsets[b])
            for b in order
        )
        return Plan(
            inputs,
            outputs,
            tuple(self.slots),
            buffers,
            tuple(self._freeing(buffers)),
            arena.size,
            arena.bound,
            arena.total,
        )

    def _freeing(self, buffers: tuple[Buffer, ...]) -> list[Step]:
        """Return the steps, each with the slots whose buffers no later step needs."""
        ends: dict[int, list[int]] = {}
        for i, slot in enumerate(self.slots):
            ends.setdefault(buffers[slot.buffer].last, []).append(i)
        return [
            Step(s.stage, s.op, s.implementation, s.reads, s.writes, tuple(ends.get(number, ())))
            for number, s in enumerate(self.steps)
        ]

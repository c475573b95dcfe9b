"""The graph: stages, and the edges between them.

Each node of a networkx MultiDiGraph has a :class:`Stage`; each edge has the position of the operand
at the consumer.  It is a multigraph because a stage may read the same value twice (``add``).  No
pass renames nodes: a node's name always says which value of the spec it computes, and the names of
parameters are made from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import networkx as nx

from netspec.errors import LabelError
from netspec.ir.guess import did_you_mean
from netspec.ir.operator import Operator
from netspec.ir.shapes import Field, Shape
from netspec.ir.source import Call, Span
from netspec.ir.symbols import total

if TYPE_CHECKING:
    from torch import Tensor

    from netspec.ir.packing import Packing


@dataclass(frozen=True, kw_only=True)
class Input(Operator):
    """An input of the net, for images; the spec declares its shape."""

    name = "input"
    takes = "none"

    size: Shape

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return self.size

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return Field()

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        raise AssertionError("an input has no operands to compute from")


@dataclass(slots=True)
class Stage:
    """One operator at one place of the net.

    Attributes:
        name: unique in the graph.
        op: the operator with its attributes.
        span: its place in the spec.
        calls: the calls of blocks that lead to it, outermost first.
        head: the auxiliary head that the stage belongs to, or an empty string.
        spans: the place in the spec of each attribute that is written there.
        written: the operator's attributes as the spec wrote them; empty once a pass changes it.
        shape: the output's size for one image; None until shapes are inferred.
        field: the receptive field of the outputs; None until shapes are inferred.
        packed: how to compute each parameter that is not in the spec from those that are.
    """

    name: str
    op: Operator
    span: Span
    calls: tuple[Call, ...] = ()
    head: str = ""
    spans: dict[str, Span] = dataclass_field(default_factory=dict)
    written: Mapping[str, Any] = dataclass_field(default_factory=dict)
    shape: Shape | None = None
    field: Field | None = None
    packed: Mapping[str, Packing] = dataclass_field(default_factory=dict)

    @property
    def known_shape(self) -> Shape:
        assert self.shape is not None, f"{self.name} has no shape yet"
        return self.shape


class Claim(NamedTuple):
    """A size or count that the spec claims; ``kind`` is its word in the spec."""

    kind: str
    value: Shape | int
    span: Span


@dataclass(slots=True)
class Row:
    """A row of the spec: the stages of its pipe, from ``inputs`` to ``output``.

    Attributes:
        label: its label in the spec.
        span: its place in the spec.
        words: the operators and blocks that the row names.
        inputs: the stages that it reads.
        stages: all stages of its pipe.
        own_stages: the stages of its pipe, without those inside branches.
        output: its last stage, whose value other rows read.
        claims: the sizes and counts that it claims.
        head: the auxiliary head that it belongs to, or an empty string.
    """

    label: str
    span: Span
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    stages: list[str]
    own_stages: list[str]
    output: str
    claims: tuple[Claim, ...]
    head: str = ""
    is_inner: bool = False
    """True if the row is inside a block."""
    is_inherited: bool = False
    """True if the row is from the net that this one is a variant of."""


class Head(NamedTuple):
    """An auxiliary classifier (GoogLeNet, section 5): its last stage and its weight in the loss."""

    name: str
    output: str
    weight: float


class Columns(NamedTuple):
    """The number of devices that the net is spread over; AlexNet has two."""

    number: int
    span: Span


class Entry(NamedTuple):
    """An action of a pass: it rewrote ``stages`` to ``result``, or left them as they were.

    Attributes:
        rule: the name of the pass.
        stages: the stages that it looked at.
        result: the stage that it made; empty if it removed them or did nothing.
        refusal: the number, in the pass's ``REFUSALS``, of the reason for which it did nothing; 0
            if it did a rewrite.
    """

    rule: str
    stages: tuple[str, ...]
    result: str = ""
    refusal: int = 0


class Totals(NamedTuple):
    """The totals of a set of stages, for one image."""

    parameters: int
    buffers: int
    macs: int
    neurons: int


class Graph:
    """The stages of a net in order, its inputs, outputs, heads and rows."""

    def __init__(self) -> None:
        self.nx: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.heads: dict[str, Head] = {}
        self.rows: dict[str, Row] = {}
        self.claims: list[Claim] = []
        self.columns: Columns | None = None
        self.same_value: dict[str, str] = {}
        """For each removed stage, the stage that has the same value."""
        self.journal: list[Entry] = []
        """The actions of the passes on this graph, in order."""
        self._order: list[str] | None = None
        self._added = 0
        self._names: set[str] = set()
        """The names of all stages that were ever added."""

    def __contains__(self, name: str) -> bool:
        return name in self.nx

    def __len__(self) -> int:
        return len(self.nx)

    def add(self, stage: Stage, operands: tuple[str, ...] = (), *, before: str = "") -> None:
        """Add a stage that reads ``operands``, in this order.

        Args:
            stage: the stage; its name must be new.
            operands: the names of the stages that it reads.
            before: the stage right before which it is placed; by default it is placed last.  The
                order matters in training: it decides which random numbers a dropout gets.
        """
        assert stage.name not in self.nx, stage.name
        self._order = None
        # A place is a tuple of numbers, and places sort like text: (..., 0, 1) comes right before
        # (..., 1), so inserting a stage does not renumber the others.
        place = (*self.nx.nodes[before]["place"][:-1], 0, 1) if before else (self._added, 1)
        self._added += 1
        self._names.add(stage.name)
        self.nx.add_node(stage.name, stage=stage, place=place)
        for position, operand in enumerate(operands):
            self.nx.add_edge(operand, stage.name, operand=position)

    def stage(self, name: str) -> Stage:
        stage: Stage = self.nx.nodes[name]["stage"]
        return stage

    def stages(self) -> Iterator[Stage]:
        """Return all stages, producers before consumers, otherwise in the order of the spec."""
        if self._order is None:
            places = {name: node["place"] for name, node in self.nx.nodes(data=True)}
            sort = nx.lexicographical_topological_sort
            self._order = list(sort(self.nx, key=places.__getitem__))
        return map(self.stage, self._order)

    def unused(self, name: str) -> str:
        """Return a name for a new stage that no stage has or had: this one, or with primes.

        A label in quotes may equal the name that a pass makes, such as ``a+b``.
        """
        while name in self._names:
            name += "'"
        return name

    def operands(self, name: str) -> tuple[str, ...]:
        """Return the stages that a stage reads, in the order of its operands."""
        producers = [
            (edge["operand"], producer)
            for producer, edges in self.nx.pred[name].items()
            for edge in edges.values()
        ]
        return tuple(producer for _, producer in sorted(producers))

    def consumers(self, name: str) -> tuple[str, ...]:
        """Return the stages that read a stage, each once, in the order in which they were added."""
        return tuple(self.nx.succ[name])

    def find(self, label: str) -> str:
        """Return the name of the stage that a label means.

        Args:
            label: a row, which means its last stage; a stage; or a stage, a dot and its operator.

        Raises:
            LabelError: there is no such row or stage.  LabelError is a KeyError.
        """
        if label in self.rows:
            return self.rows[label].output
        prefix, _, op = label.rpartition(".")
        if label not in self and prefix in self and self.stage(prefix).op.name == op:
            return prefix
        if label in self:
            return label
        guess = did_you_mean(label, [*self.rows, *self.nx])
        raise LabelError(f"there is no row or stage {label!r}; {guess}".rstrip("; "))

    def shapes_into(self, name: str) -> tuple[Shape, ...]:
        """Return the shapes of a stage's operands, in their order."""
        return tuple(self.stage(operand).known_shape for operand in self.operands(name))

    def totals(self, names: Iterable[str]) -> Totals:
        """Return the sums of the counts of the named stages, for one image."""
        counts: list[tuple[int, int, int, int]] = []
        for name in names:
            op, inputs = self.stage(name).op, self.shapes_into(name)
            parameters = sum(p.elements for p in op.parameters(inputs).values())
            buffers = sum(p.elements for p in op.buffers(inputs).values())
            counts.append((parameters, buffers, prod(op.macs(inputs)), op.neurons(inputs)))
        return Totals(*(total(count[i] for count in counts) for i in range(4)))

    # ---------------------------------------------------------------------------- rewriting

    def copy(self) -> Graph:
        """Return a copy to rewrite, without rows and claims, which describe the spec's text."""
        copied = Graph()
        for stage in self.stages():
            copied.add(replace(stage), self.operands(stage.name))
        copied.inputs, copied.outputs = list(self.inputs), list(self.outputs)
        copied.heads, copied.columns = dict(self.heads), self.columns
        copied.same_value, copied.journal = dict(self.same_value), list(self.journal)
        copied._names |= self._names
        return copied

    def become(
        self,
        name: str,
        op: Operator,
        operands: Sequence[str],
        packed: Mapping[str, Packing] | None = None,
    ) -> None:
        """Replace a stage's operator and operands; remove stages that nothing reads any more."""
        stage, before = self.stage(name), self.operands(name)
        stage.op, stage.written, stage.packed = op, {}, packed or {}
        self.nx.remove_edges_from(list(self.nx.in_edges(name, keys=True)))
        for position, operand in enumerate(operands):
            self.nx.add_edge(operand, name, operand=position)
        self._order = None
        self.sweep(before)

    def bypass(self, name: str, replacement: str) -> None:
        """Remove a stage; its consumers read ``replacement``, which has the same value, instead."""
        before = self.operands(name)
        for consumer in self.consumers(name):
            for edge in self.nx[name][consumer].values():
                self.nx.add_edge(replacement, consumer, operand=edge["operand"])
        self.outputs = [replacement if output == name else output for output in self.outputs]
        self.heads = {
            key: head._replace(output=replacement) if head.output == name else head
            for key, head in self.heads.items()
        }
        self.nx.remove_node(name)
        self.same_value[name] = replacement
        self._order = None
        self.sweep(before)

    def remove(self, name: str) -> None:
        """Remove a stage that nothing reads, and the stages that only it reads."""
        before = self.operands(name)
        self.nx.remove_node(name)
        self._order = None
        self.sweep(before)

    def sweep(self, names: Iterable[str]) -> None:
        """Remove those of the named stages that nothing reads, and the stages that only they read.

        Inputs, outputs and ends of heads are kept.
        """
        kept = {*self.inputs, *self.outputs, *(head.output for head in self.heads.values())}
        for name in names:
            if name in self.nx and name not in kept and not self.nx.succ[name]:
                self.remove(name)

    def value_of(self, name: str) -> str | None:
        """Return the stage that has the value of a stage, itself or another; None if none does."""
        while name not in self.nx:
            if name not in self.same_value:
                return None
            name = self.same_value[name]
        return name

    def is_read_by_one(self, name: str) -> bool:
        """Return True if exactly one operand of one stage reads this value."""
        ends = {*self.outputs, *(head.output for head in self.heads.values())}
        return name not in ends and self.nx.out_degree(name) == 1

    def verify(self) -> None:
        """Check the invariants that every pass must keep; a failure is a bug in netspec."""
        for stage in self.stages():  # raises an error if there is a cycle
            name, takes, shape = stage.name, stage.op.takes, stage.shape
            count = len(self.operands(name))
            positions = {edge["operand"] for *_, edge in self.nx.in_edges(name, data=True)}
            assert positions == set(range(count)), f"{name}: operands {positions}"
            assert takes == "many" or count == (takes == "one"), f"{name}: {count} operands"
            if shape is not None:
                assert shape == stage.op.shape(self.shapes_into(name)), f"{name}: stale shape"
        for name in [*self.inputs, *self.outputs, *(h.output for h in self.heads.values())]:
            assert name in self.nx, f"{name} is not in the graph"
        for row in self.rows.values():
            assert row.output in self.nx, f"the output of row {row.label} is not in the graph"

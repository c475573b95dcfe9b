"""Make a net of several columns the net of one of them, with exchanges.

A net of ``columns 2`` becomes what one of its two devices computes (AlexNet, section 3.2).  Each
has an equal part of the kernels of convolutions and fully connected layers, in the order of the
spec's, and so of every value's channels.  Grouped layers, and what works channel by channel, stay
local.  A layer that reads all channels gets a gather in front, one for all that read the same; the
net's outputs are whole on every column.

Every whole value has its whole gradient on every column, every part that of its part.  So the
gradient of a gather is the column's part of what comes back where all columns compute the same, and
a reduce-scatter where each has some of the kernels that read it; a whole value that such kernels
read passes its gradient through an all-reduce.  Gradients of images are not exchanged.

It takes the number of the column besides the graph, and is not part of ``PIPELINE``.
"""

from __future__ import annotations

from dataclasses import replace

from netspec.ir.columns import parts
from netspec.ir.fused.column_dropout import ColumnDropout
from netspec.ir.fused.exchanges import ForParts, Gather, GatherForParts
from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Entry, Graph, Stage
from netspec.ir.operator import Operator
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.lrn import LocalResponseNorm

RULE = "exchange"
EQUATION = "f(x) => f_column(x), f_column(gather(x))"
REMARK = "one column's kernels, and exchanges where it reads all"
REFUSALS = {
    1: (
        "an operator needs all channels and has no kernels to share out: each column computes all "
        "of it"
    ),
}


def rewrite(graph: Graph, column: int = 0) -> int:
    """Make a graph that of one column; returns how many exchanges it has."""
    if graph.columns is None or graph.columns.number == 1:
        return 0
    return _Exchange(graph, column, graph.columns.number).run()


class _Exchange:
    """The state of one rewrite; names of values are those of the spec."""

    def __init__(self, graph: Graph, column: int, columns: int) -> None:
        self.graph, self.column, self.columns = graph, column, columns
        self.parts = parts(graph)
        self.order = list(self.parts)
        self.readers = {name: graph.consumers(name) for name in self.order}
        self.ends = {*graph.outputs, *(head.output for head in graph.heads.values())}
        self.learned: set[str] = set()
        """Values that trained parameters went into, and that have gradients therefore."""
        self.count = 0

    def run(self) -> int:
        graph = self.graph
        for name in self.order:
            self._spread(graph.stage(name))
        whole = {name: self._whole(name, is_shared=False) for name in self.ends}
        graph.outputs = [whole[name] for name in graph.outputs]
        graph.heads = {k: h._replace(output=whole[h.output]) for k, h in graph.heads.items()}
        graph.columns = None
        return self.count

    def _spread(self, stage: Stage) -> None:
        """Let a stage be of this column, and read what it needs."""
        name, graph = stage.name, self.graph
        reads, makes = self.parts[name]
        operands = graph.operands(name)
        if stage.op.is_trained or self.learned.intersection(operands):
            self.learned.add(name)
        if not makes and any(self.parts[x].makes for x in operands):
            graph.journal.append(Entry(RULE, (name,), refusal=1))
        if operands:
            read = [self._part(x) if reads else self._whole(x, is_shared=makes) for x in operands]
            op = column_of(stage.op, self.column, self.columns) if makes else stage.op
            graph.become(name, op, read)
            stage.shape = op.shape(graph.shapes_into(name))

    def _whole(self, name: str, *, is_shared: bool) -> str:
        """All channels of a value, for a reader of which each column has a part, or the same."""
        is_all_shared = name not in self.ends and not any(
            self.parts[reader] == (False, False) for reader in self.readers[name]
        )
        whole = name
        if self.parts[name].makes:
            kind = GatherForParts if is_all_shared else Gather
            whole = self._exchange(kind(columns=self.columns), name, f"{name}.gather")
            is_shared &= not is_all_shared
        if not is_shared or name not in self.learned:
            return whole
        return self._exchange(ForParts(columns=self.columns), whole, f"{whole}.for_parts")

    def _part(self, name: str) -> str:
        """This column's channels of a value."""
        if self.parts[name].makes:
            return name
        count = self.graph.stage(name).known_shape.channels // self.columns
        op = Slice(start=self.column * count, count=count)
        return self._add(op, self._whole(name, is_shared=True), f"{name}.part")

    def _exchange(self, op: Operator, operand: str, name: str) -> str:
        if name not in self.graph:
            self.count += 1
            self.graph.journal.append(Entry(RULE, (operand,), name))
        return self._add(op, operand, name)

    def _add(self, op: Operator, operand: str, name: str) -> str:
        """A stage of this name behind another, if it is not there yet."""
        graph = self.graph
        if name not in graph:
            before = graph.stage(operand)
            shape = op.shape([before.known_shape])
            graph.add(replace(before, name=name, op=op, shape=shape), (operand,))
        return name


def column_of(op: Operator, column: int, columns: int) -> Operator:
    """What one column computes of an operator that makes parts."""
    if isinstance(op, Conv):
        count = op.count // columns
        table = op.connect
        if table is not None:
            start = column * count
            table = table._replace(rows=tuple(row[start : start + count] for row in table.rows))
        return replace(op, count=count, groups=max(1, op.groups // columns), connect=table)
    if isinstance(op, FullyConnected):
        return replace(op, count=op.count // columns)
    if isinstance(op, LocalResponseNorm):
        return replace(op, groups=op.groups // columns)
    if isinstance(op, Dropout):
        return ColumnDropout(rate=op.rate, scale=op.scale, column=column)
    return op

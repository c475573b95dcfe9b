"""Turn the graph of a net with several columns into the graph of one column, with exchanges.

A net with ``columns 2`` becomes what one of its two devices computes (AlexNet, section 3.2).  Each
column has an equal part of the kernels of convolutions and fully connected layers, in the order of
the spec, and so an equal part of the channels of their results.  Grouped layers, and operators that
work channel by channel, need no exchange.  A layer that reads all channels reads a gather, which
all layers that read the same value share.  Every column has the whole outputs of the net.

The rule for gradients: a column has the whole gradient of every whole value, and the gradient of
its own part of every divided value.  Three cases follow.  Where all columns compute the same from
a gathered value, the gradient of the gather is the column's own part.  Where each column has some
of the kernels that read it, that gradient is a reduce-scatter.  Where such kernels read a value
that was whole without a gather, its gradient is an all-reduce.  Gradients of images are not
exchanged.

``rewrite`` has the number of the column as a second argument, so this pass is not in ``PIPELINE``.
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
REMARK = "the kernels of one column, and exchanges where it reads all channels"
REFUSALS = {
    1: (
        "the operator needs all channels and has no kernels to divide: each column computes all "
        "of it"
    ),
}


def rewrite(graph: Graph, column: int = 0) -> int:
    """Turn a graph into that of one column; return the number of its exchanges."""
    if graph.columns is None or graph.columns.number == 1:
        return 0
    return _Exchange(graph, column, graph.columns.number).run()


class _Exchange:
    """The state of one rewrite. Names of values are those of the spec."""

    def __init__(self, graph: Graph, column: int, columns: int) -> None:
        self.graph, self.column, self.columns = graph, column, columns
        self.parts = parts(graph)
        self.order = list(self.parts)
        self.readers = {name: graph.consumers(name) for name in self.order}
        self.ends = {*graph.outputs, *(head.output for head in graph.heads.values())}
        self.learned: set[str] = set()
        """Values that depend on trained parameters: only these have gradients to exchange."""
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
        """Replace a stage by this column's part of it, and let it read the values it needs."""
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
        """Return the name of a value with all channels.

        Args:
            name: the value.
            is_shared: each column has a part of the reader's kernels, so the gradients of the
                columns must be added.
        """
        # If all readers are divided, the gather itself adds the gradients (a reduce-scatter), which
        # moves fewer bytes than a gather and an all-reduce.
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
        """Return the name of this column's channels of a value."""
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
        """Add a stage of this name after another unless it exists; return the name."""
        graph = self.graph
        if name not in graph:
            before = graph.stage(operand)
            shape = op.shape([before.known_shape])
            graph.add(replace(before, name=name, op=op, shape=shape), (operand,))
        return name


def column_of(op: Operator, column: int, columns: int) -> Operator:
    """Return the operator that computes one column's part of the result."""
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

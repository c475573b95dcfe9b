"""The rows of a net's table: what each reads, computes and yields, with its counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from itertools import takewhile
from typing import Any

import networkx as nx

from netspec.ir.graph import Graph, Row, Stage
from netspec.ir.shapes import Field, Shape
from netspec.printing import plain_data, printer


@dataclass(frozen=True, repr=False)
class TableRow:
    """A row of a net's table; ``repr`` is its line of the table.

    Attributes:
        label: Label of the row, or name of the stage.
        layers: Operators and blocks, as the spec names them in the row.
        operators: Operators that the row applies, without those inside its branches.
        inputs: Shapes of what the row reads: (height, width, channels) or (n,).
        kernel: Kernels as text, or None if no operator of the row has one.
        kernels: One text per kernel, and one per chain of stages inside branches, with its kernels
            in short: ``1x1, 96 | 3x3, 128``.  After a text that ends with ``|``, the texts that are
            indented by two more spaces are the branches that read it.  A text that begins with
            ``|`` continues where such branches are joined.
        output: Shape of the result.
        parameters: Number of parameters.
        buffers: Number of elements of the tensors that are not trained.
        macs: Number of multiply-accumulates for one image.
        field: Receptive field of the result, in pixels of the input.
        head: Name of the auxiliary head that the row belongs to, or an empty string.
        rows: Rows inside this row.
    """

    label: str
    layers: tuple[str, ...]
    operators: tuple[str, ...]
    inputs: tuple[Shape, ...]
    kernel: str | None
    kernels: tuple[str, ...]
    output: Shape
    parameters: int
    buffers: int
    macs: int
    field: Field
    head: str
    _graph: Graph = dataclass_field(compare=False)
    _stages: tuple[str, ...]

    @cached_property
    def rows(self) -> Rows:
        """Rows inside this row, in order; their counts add up to those of the row.

        They are the rows of a block that the row calls, and a row for each other stage.  A row of
        one stage has none.
        """
        if len(self._stages) == 1:
            return Rows()
        return Rows(_inside(self._graph, self.label, self._stages))

    @property
    def has_more(self) -> bool:
        """True if the row has stages that ``layers`` does not name: in a block or a branch."""
        return len(self._stages) > len(self.layers)

    def as_json(self) -> dict[str, Any]:
        """Return the row as an entry of ``rows`` of ``netspec summary --json``."""
        data: dict[str, Any] = plain_data(
            {
                "label": self.label,
                "ops": list(self.operators),
                "input": _sizes(self.inputs),
                "kernel": self.kernel,
                "output": list(self.output),
                "parameters": self.parameters,
                "buffers": self.buffers,
                "macs": self.macs,
                "field": {
                    "size": list(self.field.size),
                    "start": list(self.field.start),
                    "stride": [s if isinstance(s, int) else float(s) for s in self.field.stride],
                },
                "head": self.head or False,
            }
        )
        return data

    def __repr__(self) -> str:
        return repr(Rows([self]))

    def _repr_html_(self) -> str:
        return Rows([self])._repr_html_()


class Rows(tuple[TableRow, ...]):
    """Rows of a net's table; ``repr`` is the table, and a notebook shows it as HTML."""

    __slots__ = ()

    def expanded(self) -> Rows:
        """Return these rows, with the rows inside blocks and branches after the row around them.

        Counts of a row include those of the rows inside it.
        """
        return Rows(_expanded(self))

    def __repr__(self) -> str:
        return str(printer("Rows").rows_as_text(self))

    def _repr_html_(self) -> str:
        return str(printer("Rows").rows_as_html(self))


def table(graph: Graph) -> Rows:
    """Return the rows of a shaped graph, without those inside blocks."""
    return Rows(_of_row(graph, row) for row in graph.rows.values() if not row.is_inner)


def stage_rows(graph: Graph) -> Rows:
    """Return a row for each stage of a shaped graph but its inputs."""
    return Rows(_of_stage(graph, s) for s in graph.stages() if graph.operands(s.name))


def find(graph: Graph, label: str) -> TableRow:
    """Return the row of a label, or of a stage by its name or as ``ROW.op``.

    Raises:
        KeyError: there is no such row or stage.
    """
    if label in graph.rows:
        return _of_row(graph, graph.rows[label])
    return _of_stage(graph, graph.stage(graph.find(label)))


def _expanded(rows: Rows) -> Iterator[TableRow]:
    for row in rows:
        yield row
        if row.has_more:
            yield from _expanded(row.rows)


def nesting(graph: Graph) -> tuple[dict[str, str], dict[str, str]]:
    """Return the innermost row of each stage, and the parent of each row inside a block."""
    innermost: dict[str, str] = {}
    outermost: dict[str, str] = {}
    parents: dict[str, str] = {}
    for label, row in graph.rows.items():  # rows inside a block come before the row around them
        for name in row.stages:
            innermost.setdefault(name, label)
            if name in outermost:
                parents[outermost[name]] = label
            outermost[name] = label
    return innermost, parents


def _inside(graph: Graph, label: str, stages: Sequence[str]) -> Iterator[TableRow]:
    """Yield the rows directly inside a row, each at the position of its first stage."""
    innermost, parents = nesting(graph)
    seen = set[str]()
    for name in stages:
        inner = innermost[name]
        while inner != label and parents[inner] != label:
            inner = parents[inner]
        if inner == label:
            yield _of_stage(graph, graph.stage(name))
        elif inner not in seen:
            seen.add(inner)
            yield _of_row(graph, graph.rows[inner])


def _of_row(graph: Graph, row: Row) -> TableRow:
    own = [graph.stage(name) for name in row.own_stages]
    inputs = tuple(graph.stage(name).known_shape for name in row.inputs)
    return _row(graph, row.label, row.words, own, inputs, row.output, row.stages, row.head)


def _of_stage(graph: Graph, stage: Stage) -> TableRow:
    inputs = graph.shapes_into(stage.name)
    words = (stage.op.name,)
    return _row(graph, stage.name, words, [stage], inputs, stage.name, [stage.name], stage.head)


def _row(
    graph: Graph,
    label: str,
    words: tuple[str, ...],
    own: Sequence[Stage],
    inputs: tuple[Shape, ...],
    output: str,
    stages: Sequence[str],
    head: str,
) -> TableRow:
    texts = [stage.op.kernel_text(graph.shapes_into(stage.name)) for stage in own]
    totals, field = graph.totals(stages), graph.stage(output).field
    assert field is not None
    return TableRow(
        label,
        layers=words,
        operators=tuple(stage.op.name for stage in own),
        inputs=inputs,
        kernel="; ".join(text for text in texts if text) or None,
        kernels=tuple(_kernels(graph, {stage.name for stage in own}, stages, output)),
        output=graph.stage(output).known_shape,
        parameters=totals.parameters,
        buffers=totals.buffers,
        macs=totals.macs,
        field=field,
        head=head,
        _graph=graph,
        _stages=tuple(stages),
    )


@dataclass
class _Chain:
    """Stages of which each reads only the one before, with their kernels as text.

    Attributes:
        start: Name of the first operator.
        forks: Stages of the branches around it, each read by several chains, the outermost first.
        is_joined: True if the first stage reads several values.
        is_forked: True if several chains read the last stage.
        kernels: the kernels of the stages as text.
    """

    start: str
    forks: tuple[str, ...] = ()
    is_joined: bool = False
    is_forked: bool = False
    kernels: list[str] = dataclass_field(default_factory=list)

    def __str__(self) -> str:
        kernels = self.kernels or [self.start]
        text = " | ".join(["", *kernels] if self.is_joined else kernels)
        return "  " * len(self.forks) + text.strip() + (" |" if self.is_forked else "")


def _kernels(graph: Graph, own: Set[str], stages: Sequence[str], output: str) -> Iterator[str]:
    """Yield the kernel of each own stage in full, and those of each chain inside branches in short.

    A chain ends where its value is read twice, and before a stage that reads several values.
    """
    chains: list[_Chain] = []
    joins = _joins(graph, stages, output) if len(own) < len(stages) else {}
    within: dict[str, _Chain] = {}
    for name in stages:
        op, inputs, operands = graph.stage(name).op, graph.shapes_into(name), graph.operands(name)
        before = [within.get(operand) for operand in operands if operand not in own]
        chain = None
        if name not in own and len(before) == 1 and before[0] is not None:
            if len(graph.consumers(operands[0])) == 1:
                chain = before[0]
            else:
                before[0].is_forked = True
                chain = _Chain(op.name, (*before[0].forks, operands[0]))
        elif name not in own and len(operands) > 1:
            forks = _common([c.forks if c else () for c in before])
            while forks and joins.get(forks[-1]) == name:
                forks = forks[:-1]
            chain = _Chain(op.name, forks, is_joined=True)
        chain = chain or _Chain(op.name)
        if not any(chain is other for other in chains):
            chains.append(chain)
        within[name] = chain
        text = op.kernel_text(inputs) if name in own else op.short_kernel_text(inputs)
        chain.kernels += [text] if text else []
    return (str(chain) for chain in chains if chain.kernels or chain.is_forked)


def _joins(graph: Graph, stages: Sequence[str], output: str) -> dict[str, str]:
    """Return for each stage the first one that all ways from it to the output lead through."""
    return dict(nx.immediate_dominators(graph.nx.subgraph(stages).reverse(copy=False), output))


def _common(forks: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the forks that all of them begin with."""
    same = takewhile(lambda level: len(set(level)) == 1, zip(*forks, strict=False))
    return tuple(level[0] for level in same)


def _sizes(shapes: tuple[Shape, ...]) -> list[Any]:
    return list(shapes[0]) if len(shapes) == 1 else [list(shape) for shape in shapes]

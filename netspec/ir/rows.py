"""The rows of a net's table: what each reads, computes and yields, with its counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from netspec.ir.graph import Graph, Row, Stage
from netspec.ir.shapes import Field, Shape
from netspec.printing import printer


@dataclass(frozen=True, repr=False)
class TableRow:
    """A row of a net's table; ``repr`` is its line of the table.

    Attributes:
        label: Label of the row, or name of the stage.
        layers: Operators and blocks, as the spec names them in the row.
        operators: Operators that the row applies, without those inside its branches.
        inputs: Shapes of what the row reads: (height, width, channels) or (n,).
        kernel: Kernels as text, or None if no operator of the row has one.
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
    output: Shape
    parameters: int
    buffers: int
    macs: int
    field: Field
    head: str
    _graph: Graph
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

    def as_json(self) -> dict[str, Any]:
        """Return the row as an entry of ``rows`` of ``netspec summary --json``."""
        return {
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

    def __repr__(self) -> str:
        return repr(Rows([self]))

    def _repr_html_(self) -> str:
        return Rows([self])._repr_html_()


class Rows(tuple[TableRow, ...]):
    """Rows of a net's table; ``repr`` is the table, and a notebook shows it as HTML."""

    __slots__ = ()

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
    kernels = [stage.op.kernel_text(graph.shapes_into(stage.name)) for stage in own]
    totals, field = graph.totals(stages), graph.stage(output).field
    assert field is not None
    return TableRow(
        label,
        layers=words,
        operators=tuple(stage.op.name for stage in own),
        inputs=inputs,
        kernel="; ".join(kernel for kernel in kernels if kernel) or None,
        output=graph.stage(output).known_shape,
        parameters=totals.parameters,
        buffers=totals.buffers,
        macs=totals.macs,
        field=field,
        head=head,
        _graph=graph,
        _stages=tuple(stages),
    )


def _sizes(shapes: tuple[Shape, ...]) -> list[Any]:
    return list(shapes[0]) if len(shapes) == 1 else [list(shape) for shape in shapes]

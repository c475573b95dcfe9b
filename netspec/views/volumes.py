"""The volumes of a net, as the papers draw them: maps and vectors, and what leads to the next one.

A volume is the output of a layer with kernels: a convolution, a fully connected layer, a trained
subsampling.  Layers that keep the size, such as ``relu``, are not drawn.  Pools are words between
two volumes, as in AlexNet's Figure 2.  A row with branches, such as an inception module, is one
volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netspec.errors import DataError
from netspec.ir.columns import column_count, exchanging_stages, parts
from netspec.ir.graph import Graph, Row, Stage
from netspec.ir.operator import WindowOperator
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.subsample import Subsample
from netspec.ir.shapes import Shape
from netspec.ir.symbols import by
from netspec.net import Net
from netspec.views.boxes import kind
from netspec.views.operator_text import short_text

WORDS = {
    "maxpool": "max pooling",
    "avgpool": "average pooling",
    "gap": "global average pooling",
    "gmp": "global max pooling",
    "adaptive_avgpool": "average pooling",
    "subsample": "subsampling",
}
"""Words of the papers for operators."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The kernels of a convolution or subsampling; ``channels`` are those that each one sees."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A map or a vector.

    Attributes:
        row: The label of its row, or the name of the input.
        kind: The kind of its operator, which decides its colour; ``module`` for a row of branches.
        shape: The size of it; of one column if it is split over columns.
        columns: The number of columns it is split over; 1 if it is whole.
        slices: The channels of each branch, if it is a concat.
        kernel: The kernels that compute it from the volume before.
        is_dense: It is the output of a fully connected layer.
        words: The operators that lead to it, as papers name them.
        exchanges: The rows where columns exchange channels between the volume before and this one.
    """

    row: str
    kind: str
    shape: Shape
    columns: int = 1
    slices: tuple[int, ...] = ()
    kernel: Kernel | None = None
    is_dense: bool = False
    words: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Step:
    """A stage of the chain, or a row of branches, which ends with its last stage."""

    stage: Stage
    row: Row | None
    before: Shape
    stages: tuple[str, ...]
    is_module: bool = False

    @property
    def is_volume(self) -> bool:
        """Return True if its output is drawn, whatever follows."""
        op = self.stage.op
        if self.is_module or kind(op) in ("conv", "fc"):
            return True
        if kind(op) == "pool":
            return op.is_trained
        return self.stage.known_shape != self.before and not isinstance(op, Flatten)

    @property
    def words(self) -> Iterator[str]:
        """The words of the operator; a layer with kernels has only its stride."""
        op = self.stage.op
        if self.is_module:
            assert self.row is not None
            if len(self.row.words) == 1:
                yield self.row.words[0]
        elif isinstance(op, Conv):  # its kernels are drawn
            if op.groups != 1 and op.groups == self.before.channels:
                yield "depthwise"
            if op.stride != (1, 1):
                yield f"stride {op.stride_text}"
        elif kind(op) == "pool":
            yield WORDS.get(op.name, op.name)
            if isinstance(op, WindowOperator):
                yield op.kernel_and_stride
            if not self.is_volume:
                yield f"to {by(self.stage.known_shape[:2])}"
        elif kind(op) == "fc":
            yield "dense"
        elif self.is_volume:
            yield short_text(op)


def volumes(net: Net) -> list[Volume]:
    """Return the volumes of a net, the input first. Auxiliary heads are not part of them.

    Raises:
        SpecError: The net has symbols.
        DataError: The rows of the net are not a chain.
    """
    net.require_numbers()
    graph = net.graph
    steps = list(_steps(net))
    number = column_count(graph)
    split = {name for name, part in parts(graph).items() if part.makes} if number > 1 else set()
    exchanging = set(exchanging_stages(graph))
    row_of = {name: row.label for row in graph.rows.values() for name in row.stages}

    first = graph.stage(graph.inputs[0])
    drawn = [Volume(row=first.name, kind="input", shape=first.known_shape)]
    ends = _drawn(steps, first.known_shape)
    start = 0
    for place, end in enumerate(ends):
        step, is_last = steps[end], place == len(ends) - 1
        passed = steps[start:] if is_last else steps[start : end + 1]
        shape = steps[-1].stage.known_shape if is_last else step.stage.known_shape
        crossing = [name for one in passed for name in one.stages if name in exchanging]
        # the output of the net is whole on each column
        columns = number if step.stage.name in split and not is_last else 1
        drawn.append(
            Volume(
                row=row_of[step.stage.name],
                kind="module" if step.is_module else kind(step.stage.op),
                shape=Shape((*shape[:-1], shape[-1] // columns)),
                columns=columns,
                slices=_slices(graph, step, columns),
                kernel=_kernel(step),
                is_dense=kind(step.stage.op) == "fc",
                words=tuple(word for one in passed for word in one.words),
                exchanges=tuple(dict.fromkeys(row_of[name] for name in crossing)),
            )
        )
        start = end + 1
    return drawn


def _drawn(steps: list[_Step], shape: Shape) -> list[int]:
    """Return the positions of the steps whose outputs are drawn; the net's output is one."""
    ends = [place for place, step in enumerate(steps) if step.is_volume]
    if ends:
        shape = steps[ends[-1]].stage.known_shape
    if not ends or steps[-1].stage.known_shape != shape:
        changing = [i for i, step in enumerate(steps) if step.stage.known_shape != step.before]
        ends.append(changing[-1] if changing else len(steps) - 1)
    return ends


def _steps(net: Net) -> Iterator[_Step]:
    """Yield the stages of a net in order, and rows of branches as one step."""
    graph = net.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise _no_chain(net, f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs")
    before = graph.inputs[0]
    for row in graph.rows.values():
        if row.is_inner or row.head:
            continue
        if row.inputs != (before,):
            raise _no_chain(net, f"row {row.label} reads {_listed(graph, row.inputs)}")
        last = before
        plain = []
        for name in row.stages:
            if graph.operands(name) != (last,):
                shape = graph.stage(before).known_shape
                yield _Step(graph.stage(row.output), row, shape, tuple(row.stages), True)
                break
            plain.append(_Step(graph.stage(name), row, graph.stage(last).known_shape, (name,)))
            last = name
        else:
            yield from plain
        before = row.output
    if before != graph.outputs[0]:
        raise _no_chain(net, "its last row is not its output")


def _listed(graph: Graph, names: tuple[str, ...]) -> str:
    rows = {row.output: label for label, row in graph.rows.items() if not row.is_inner}
    return " and ".join(rows.get(name, name) for name in names)


def _no_chain(net: Net, reason: str) -> DataError:
    return DataError(
        f"{net.name} cannot be drawn as volumes: {reason}, and volumes need rows of which each "
        "reads only the one before it\n  draw its graph: leave out --style volumes"
    )


def _kernel(step: _Step) -> Kernel | None:
    """Return the kernels of a step, if a window slides over a map."""
    op = step.stage.op
    if step.is_module or not isinstance(op, WindowOperator) or not step.is_volume:
        return None
    groups = op.groups if isinstance(op, Conv) else 1
    channels = 1 if isinstance(op, Subsample) else step.before.channels // groups
    return Kernel(height=op.kernel[0], width=op.kernel[1], channels=channels)


def _slices(graph: Graph, step: _Step, columns: int) -> tuple[int, ...]:
    """Return the channels of the branches of a row that ends in a concat and stages of its size."""
    if not step.is_module or columns > 1:
        return ()
    stage = step.stage
    while not isinstance(stage.op, Concat):
        operands = graph.operands(stage.name)
        if len(operands) != 1 or graph.stage(operands[0]).shape != stage.shape:
            return ()
        stage = graph.stage(operands[0])
    return tuple(shape.channels for shape in graph.shapes_into(stage.name))

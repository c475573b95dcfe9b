"""Shape inference: the size and the receptive field of every stage, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from netspec.graph import Graph, Stage
from netspec.language.diagnostics import Note, Problems, call_notes
from netspec.language.limits import MAX_INTEGER
from netspec.operator import WindowOperator
from netspec.shapes import AXES, Shape, ShapeError


def infer(graph: Graph, problems: Problems) -> None:
    """Set the shape and field of each stage; a stage behind a mistake stays without, silently."""
    for stage in graph.stages():
        operands = [graph.stage(name) for name in graph.operands(stage.name)]
        if any(operand.shape is None for operand in operands):
            continue
        inputs = [operand.known_shape for operand in operands]
        fields = [operand.field for operand in operands if operand.field is not None]
        try:
            shape = stage.op.shape(inputs)
        except ShapeError as error:
            _report(error, stage, operands, graph, problems)
            continue
        held = sum(p.elements for p in stage.op.parameters(inputs).values())
        if max(shape.elements, held, prod(stage.op.macs(inputs))) > MAX_INTEGER:
            message = f"{stage.op.name} is too large: its output is {shape}"
            help = "outputs, parameters and multiply-accumulates are counted below 2**63"
            problems.add("NS007", message, stage.span, help=help, notes=call_notes(stage.calls))
            continue
        stage.shape, stage.field = shape, stage.op.field(fields, inputs)


def _report(
    error: ShapeError, stage: Stage, operands: list[Stage], graph: Graph, problems: Problems
) -> None:
    notes, help = [], error.help
    origins = [(operands[index], axis) for index, axis in error.origins]
    for operand, axis in origins:
        notes.append(_origin(operand, axis, graph))
    if len(origins) == 2:
        help = next(_suggestions(origins, graph), help)
    problems.add(
        error.code,
        error.message,
        stage.span,
        label=error.label or f"its input is {operands[0].shape}" if operands else "",
        notes=[*notes, *call_notes(stage.calls)],
        help=help,
    )


def _origin(stage: Stage, axis: int, graph: Graph) -> Note:
    """Where the size of one axis comes from: the stage that made it, its line, its arithmetic."""
    maker = _maker(stage, axis, graph)
    shape = maker.known_shape
    place = f"`{maker.name}`, line {maker.span.line}"
    if not graph.operands(maker.name):
        return Note(f"{shape} is the input {place}", maker.span)
    how = maker.op.derivation(axis, graph.shapes_into(maker.name)) or maker.op.name
    if not shape.is_map:
        return Note(f"{shape} comes from {place}: {how}", maker.span)
    return Note(f"{AXES[axis]} {shape[axis]} comes from {place}: {how}", maker.span)


def _maker(stage: Stage, axis: int, graph: Graph) -> Stage:
    """The stage that gave an axis its size: the last one that did not pass it on."""
    while True:
        operands = graph.operands(stage.name)
        if not operands:
            return stage
        source = graph.stage(operands[0])
        inputs = graph.shapes_into(stage.name)
        derived = stage.op.derivation(axis, inputs) is not None
        if derived and (len(inputs[0]) != len(stage.known_shape) or _changes(stage, axis, inputs)):
            return stage
        if len(inputs[0]) != len(stage.known_shape):
            return stage
        stage = source


def _changes(stage: Stage, axis: int, inputs: tuple[Shape, ...]) -> bool:
    return axis == 2 or stage.known_shape[axis] != inputs[0][axis]


def suggest(stage: Stage, axis: int, wanted: int, graph: Graph) -> Iterator[str]:
    """Ways to change the stage's own window so that an axis comes out as wanted."""
    op, inputs = stage.op, graph.shapes_into(stage.name)
    if not isinstance(op, WindowOperator) or axis > 1:
        return
    rounding = "ceil" if op.round == "floor" else "floor"
    kernel = op.kernel.size[axis]
    tries: list[tuple[str, WindowOperator]] = [(f"round={rounding}", replace(op, round=rounding))]
    for pad in range(min(kernel, 8)):
        tries.append((f"pad={pad}", replace(op, pad=(pad,) * 4)))
    for text, changed in tries:
        try:
            if changed.shape(inputs)[axis] == wanted:
                yield text
        except ShapeError:
            continue


def _suggestions(origins: list[tuple[Stage, int]], graph: Graph) -> Iterator[str]:
    """How one of two disagreeing sizes could be made equal to the other."""
    for (ours, axis), (theirs, _) in (origins, origins[::-1]):
        shape, other = ours.known_shape, theirs.known_shape
        if not (shape.is_map and other.is_map):
            continue
        maker = _maker(ours, axis, graph)
        if maker is _maker(theirs, axis, graph):
            continue
        ways = list(suggest(maker, axis, other[axis], graph))[:2]
        if ways:
            line = maker.span.line
            how = " or ".join(ways)
            yield f"set {how} on `{maker.name}`, line {line}, to make it {other[axis]}"

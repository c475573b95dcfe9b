"""Shape inference: derive the size and receptive field of every stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from netspec.ir.graph import Graph, Stage
from netspec.ir.operator import WindowOperator
from netspec.ir.shapes import AXES, ShapeError
from netspec.ir.source import Source
from netspec.ir.symbols import MAX_STAGES, TooLarge, any_symbolic, is_small, is_symbolic
from netspec.language.diagnostics import Note, Problems, call_notes, file_of
from netspec.language.limits import MAX_INTEGER


def infer(graph: Graph, problems: Problems) -> None:
    """Set the shape and field of each stage, and attributes of operators that depend on sizes.

    Stages after a reported stage do not have a shape and are not reported.
    """
    origins = _Origins(graph)
    symbolic = 0
    for stage in graph.stages():
        operands = [graph.stage(name) for name in graph.operands(stage.name)]
        if any(operand.shape is None for operand in operands):
            continue
        inputs = [operand.known_shape for operand in operands]
        fields = [operand.field for operand in operands if operand.field is not None]
        try:
            shape = stage.op.shape(inputs)
            field = stage.op.field(fields, inputs)
            if not all(map(is_small, (*shape, *field.size))):
                raise TooLarge
        except ShapeError as error:
            _report(error, stage, operands, origins, problems)
            continue
        except TooLarge:
            message = f"the output of {stage.op.name} is too large an expression of symbols"
            help = "give the symbols values with --set, or check the net in parts"
            problems.add("NS007", message, stage.span, help=help, notes=call_notes(stage.calls))
            continue
        symbolic += any_symbolic(shape)
        if symbolic > MAX_STAGES:
            message = f"more than {MAX_STAGES:,} stages have symbols in their sizes"
            help = "give the symbols values with --set, or check the net in parts"
            problems.add("NS005", message, stage.span, help=help)
            return
        parameters = sum(p.elements for p in stage.op.parameters(inputs).values())
        counts = (shape.elements, parameters, prod(stage.op.macs(inputs)))
        if any(not is_symbolic(count) and count > MAX_INTEGER for count in counts):
            message = f"{stage.op.name} is too large: its output is {shape}"
            help = "outputs, parameters and multiply-accumulates are counted below 2**63"
            problems.add("NS007", message, stage.span, help=help, notes=call_notes(stage.calls))
            continue
        stage.op, stage.shape, stage.field = stage.op.resolved(inputs), shape, field


class _Origins:
    """The stages that set the size of an axis: later stages only pass the size on."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[tuple[str, int], Stage] = {}

    def of(self, stage: Stage, axis: int) -> Stage:
        passed = []
        while (stage.name, axis) not in self.known and self._passes_on(stage, axis):
            passed.append(stage.name)
            stage = self.graph.stage(self.graph.operands(stage.name)[0])
        origin = self.known.get((stage.name, axis), stage)
        for name in (*passed, stage.name):
            self.known[name, axis] = origin
        return origin

    def _passes_on(self, stage: Stage, axis: int) -> bool:
        inputs = self.graph.shapes_into(stage.name)
        if not inputs or len(inputs[0]) != len(stage.known_shape):
            return False
        if axis < 2 and stage.known_shape[axis] == inputs[0][axis]:
            return True
        return stage.op.derivation(axis, inputs) is None

    def note(self, stage: Stage, axis: int) -> Note:
        """Return a note on the origin of an axis's size: the stage, its line, its arithmetic."""
        maker = self.of(stage, axis)
        shape, inputs = maker.known_shape, self.graph.shapes_into(maker.name)
        position = f"`{maker.name}`, line {maker.span.line}"
        if not inputs:
            return Note(f"{shape} is the input {position}", maker.span)
        arithmetic = maker.op.derivation(axis, inputs) or maker.op.name
        if not shape.is_map:
            return Note(f"{shape} comes from {position}: {arithmetic}", maker.span)
        return Note(f"{AXES[axis]} {shape[axis]} comes from {position}: {arithmetic}", maker.span)

    def corrections(self, places: list[tuple[Stage, int]], here: Source) -> Iterator[str]:
        """Yield changes of the net that make one of two sizes equal to the other.

        ``here`` is the file of the diagnostic; a place in another file is named with that file.
        """
        for (ours, axis), (theirs, _) in (places, places[::-1]):
            target = theirs.known_shape
            if not (ours.known_shape.is_map and target.is_map):
                continue
            maker = self.of(ours, axis)
            if maker is self.of(theirs, axis):
                continue
            changes = list(suggest(maker, axis, target[axis], self.graph))[:2]
            if changes:
                settings = " or ".join(changes)
                line = f"{maker.span.line}{file_of(maker.span, here)}"
                yield f"set {settings} on `{maker.name}`, line {line}, to make it {target[axis]}"


def _report(
    error: ShapeError, stage: Stage, operands: list[Stage], origins: _Origins, problems: Problems
) -> None:
    places = [(operands[index], axis) for index, axis in error.origins]
    notes = [origins.note(operand, axis) for operand, axis in places]
    help = error.help
    if len(places) == 2:
        help = next(origins.corrections(places, stage.span.source), help)
    if stage.head:
        message = f"only the head `{stage.head}` does not fit; inference does not use it"
        notes.insert(0, Note(message))
        help += f"; or remove the head: `drop {stage.head}` in a variant"
    problems.add(
        error.code,
        error.message,
        stage.span,
        label=error.label or (f"its input is {operands[0].shape}" if operands else ""),
        notes=[*notes, *call_notes(stage.calls)],
        help=help,
    )


def suggest(stage: Stage, axis: int, size: int, graph: Graph) -> Iterator[str]:
    """Yield the changes of rounding or padding for which an axis has the given size."""
    op, inputs = stage.op, graph.shapes_into(stage.name)
    if not isinstance(op, WindowOperator) or axis > 1:
        return
    rounding = "ceil" if op.round == "floor" else "floor"
    kernel = op.kernel[axis]
    changes: list[tuple[str, WindowOperator]] = [(f"round={rounding}", replace(op, round=rounding))]
    for pad in range(min(kernel, 8)):
        changes.append((f"pad={pad}", replace(op, pad=(pad,) * 4)))
    for text, changed in changes:
        try:
            if changed.shape(inputs)[axis] == size:
                yield text
        except ShapeError:
            continue

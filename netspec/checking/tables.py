"""Compare printed tables and sentences with derived values.

A cell that disagrees is an error, unless an erratum says why the paper is wrong.  An erratum on a
cell that agrees is also an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from netspec.checking.claims import count_terms, sum_notes
from netspec.checking.notation import (
    Mismatch,
    Numbers,
    kernel_mismatch,
    kernel_shown,
    size_mismatch,
)
from netspec.ir import values
from netspec.ir.graph import Graph, Row, Stage, Totals
from netspec.ir.guess import did_you_mean
from netspec.ir.ops import OPERATORS
from netspec.ir.shapes import Shape
from netspec.ir.source import Span
from netspec.ir.symbols import is_symbolic, same, show
from netspec.ir.values import BlockName, Word
from netspec.language import syntax
from netspec.language.diagnostics import Diagnostic, Note, Problems
from netspec.language.expressions import condition, evaluate, number
from netspec.language.scope import Reported, Scope

COLUMNS = ("input", "kernel", "output", "params")
"""The columns of printed tables, after the label of the row."""

QUANTITIES = ("params", "macs", "neurons", "field", "height", "width", "channels", "stages")
"""Quantities of a row or stage that a sentence may use; ``stages`` is one of an operator."""


class Cell(NamedTuple):
    """A printed cell; ``status`` is agree, erratum or disagree, ``why`` the reason."""

    column: str
    printed: str
    derived: str
    status: str
    why: str


class PrintedRow(NamedTuple):
    """A row of a printed table, under the label of the net's row."""

    label: str
    cells: tuple[Cell, ...]


class Sentence(NamedTuple):
    """A sentence of the paper.

    ``status`` is that of a cell, or ``measured`` (by a command), or ``needs`` (data).
    ``condition`` is its condition as written in the spec, or empty.
    """

    quote: str
    status: str
    derived: str
    why: str
    condition: str = ""


class Document(NamedTuple):
    """A printed table and sentences, each with the derived values.

    ``depth`` says what the third number of a kernel counts: channels ``in`` or filters ``out``.
    """

    source: str
    depth: str
    rows: tuple[PrintedRow, ...]
    sentences: tuple[Sentence, ...]

    def count(self, status: str) -> int:
        """Return the number of cells and sentences that have a status."""
        cells = sum(cell.status == status for row in self.rows for cell in row.cells)
        return cells + sum(sentence.status == status for sentence in self.sentences)


def examine(
    document: syntax.Document, scope: Scope, graph: Graph
) -> tuple[Document, list[Diagnostic]]:
    """Compare a document with a graph that has shapes; return the results and diagnostics."""
    problems = Problems()
    examiner = _Examiner(graph, scope, problems, _depth(document, scope))
    examined = Document(
        document.title.text,
        examiner.depth,
        tuple(row for row in map(examiner.row, document.rows) if row),
        tuple(s for s in map(examiner.sentence, document.sentences) if s),
    )
    return examined, problems.diagnostics


def _depth(document: syntax.Document, scope: Scope) -> str:
    depth = ""
    for argument in document.arguments:
        assert argument.key is not None
        value = argument.value.text if isinstance(argument.value, syntax.Name) else ""
        if argument.key.text != "depth" or value not in ("in", "out"):
            message = "a document has one attribute, `depth`, and it is in or out"
            help = "depth says what a kernel's third number counts: channels in, or filters out"
            scope.problem("NS132", message, argument.at, help=help)
        elif depth:
            message = "`depth` is given twice"
            scope.problem("NS131", message, argument.at, help="keep one of the two")
        else:
            depth = value
    return depth or "in"


@dataclass
class _Examiner:
    graph: Graph
    scope: Scope
    problems: Problems
    depth: str

    # -------------------------------------------------------------------------------------- cells

    def row(self, printed: syntax.PrintedRow) -> PrintedRow | None:
        """Return the cells of a printed row, or None after reporting an unknown row."""
        label = printed.label
        rows = {row.label: row for row in self.graph.rows.values() if not row.is_inner}
        if label.text not in rows:
            help = (
                did_you_mean(label.text, rows) or "a printed row has the label of a row of the net"
            )
            message = f"the document has a row `{label.text}`, and the net has none"
            self._report("NS111", message, label.at, [], help)
            return None
        row, places = rows[label.text], _places(printed, self.scope)
        errata = self._errata(printed)
        cells = []
        for column in COLUMNS:
            cell = getattr(printed, column)
            if cell is None:
                self._no_cell(column, errata)
                continue
            try:
                mismatch, derived = self._compare(column, cell, row)
            except Reported:
                continue
            cells.append(self._cell(row, column, places[column], mismatch, derived, errata))
        return PrintedRow(label.text, tuple(cells))

    def _errata(self, printed: syntax.PrintedRow) -> dict[str, syntax.Erratum]:
        errata: dict[str, syntax.Erratum] = {}
        for erratum in printed.errata:
            column = erratum.column
            if column.text not in COLUMNS:
                help = did_you_mean(column.text, COLUMNS) or f"columns are {', '.join(COLUMNS)}"
                message = f"a printed row has no column `{column.text}`"
                self.scope.problem("NS403", message, column.at, help=help)
                meant = [c for c in COLUMNS if f"`{c}`" in help]
                errata |= dict.fromkeys(meant, erratum)  # the cell itself is then not reported
            elif column.text in errata:
                message = f"a second erratum on the same {column.text}"
                help = "write one erratum per cell"
                self.scope.problem("NS131", message, erratum.at, help=help)
            else:
                errata[column.text] = erratum
        return errata

    def _no_cell(self, column: str, errata: dict[str, syntax.Erratum]) -> None:
        if column in errata:
            message = f"the erratum is on an empty cell: the row prints no {column}"
            self.scope.problem("NS402", message, errata[column].at, help="remove it")

    def _compare(self, column: str, cell: Any, row: Row) -> tuple[Mismatch | None, str]:
        """Return the mismatch of a cell, if any, and the derived value."""
        if column == "kernel":
            stage = self._kernel_stage(row)
            inputs = self.graph.shapes_into(stage.name)
            devices = self.graph.columns.number if self.graph.columns else 1
            mismatch = kernel_mismatch(self._numbers(cell), stage.op, inputs, self.depth, devices)
            return mismatch, kernel_shown(stage.op, inputs, self.depth)
        if column == "params":
            total = self.graph.totals(row.stages).parameters
            printed = number(cell, self.scope)
            if self._same(printed, total, cell):
                return None, show(total)
            return Mismatch(f"{_shown(printed)} is printed, and {show(total)} derived"), show(total)
        shape = self._input(row) if column == "input" else self.graph.stage(row.output).known_shape
        size = self._numbers(cell)
        if size.stride is not None:
            slash = _shown(size.stride)
            return Mismatch(f"a size has no stride, and /{slash} is printed"), str(shape)
        return size_mismatch(size, shape), str(shape)

    def _numbers(self, cell: syntax.Printed) -> Numbers:
        dims = [number(dimension, self.scope) for dimension in cell.dimensions]
        stride, count, copies = (
            None if node is None else number(node, self.scope)
            for node in (cell.stride, cell.filters, cell.copies)
        )
        return Numbers(dims, stride, count, copies, cell.grouped)

    def _same(self, printed: Any, derived: Any, node: syntax.Expression) -> bool:
        equal = same(printed, derived)
        if equal is None:
            message = "this can be neither proved nor refuted for every value of the symbols"
            help = "write it as a polynomial of the symbols"
            raise self.scope.problem("NS144", message, node.at, help=help)
        return equal

    def _input(self, row: Row) -> Shape:
        """Return the input shape of a row; several maps of one size are joined."""
        shapes = [self.graph.stage(name).known_shape for name in row.inputs]
        return Shape((*shapes[0][:-1], sum(shape.channels for shape in shapes)))

    def _kernel_stage(self, row: Row) -> Stage:
        """Return the stage of a row whose kernel a table prints."""
        stages = [self.graph.stage(name) for name in row.own_stages]
        with_kernel = (s for s in stages if s.op.kernel_text(self.graph.shapes_into(s.name)))
        return next(with_kernel, stages[0])

    def _cell(
        self,
        row: Row,
        column: str,
        span: Span,
        mismatch: Mismatch | None,
        derived: str,
        errata: dict[str, syntax.Erratum],
    ) -> Cell:
        printed, erratum = " ".join(span.text.split()), errata.get(column)
        if mismatch is None:
            if erratum is not None:
                message = f"the erratum is not needed: {column} of {row.label} is printed right"
                self._report(
                    "NS402", message, erratum.at, [Note(f"{derived} is derived")], "remove it"
                )
            return Cell(column, printed, derived, "agree", "")
        arithmetic = list(self._arithmetic(row, column))
        if erratum is not None:
            return Cell(column, printed, derived, "erratum", erratum.why)
        message = f"{column} of {row.label}: printed {printed}, derived {derived}"
        notes = [Note(text) for text in (mismatch.reason, *arithmetic)]
        help = f'fix the spec, or say why the printed value is wrong: erratum {column} "..."'
        self.problems.add("NS401", message, span, help=help, notes=notes)
        return Cell(column, printed, derived, "disagree", "; ".join(n.message for n in notes))

    def _report(
        self, code: str, message: str, at: syntax.At, notes: Sequence[Note], help: str
    ) -> None:
        self.problems.add(code, message, self.scope.span(at), help=help, notes=notes)

    def _arithmetic(self, row: Row, column: str) -> Iterator[str]:
        """Yield the arithmetic of the derived value."""
        if column == "params":
            stages = [self.graph.stage(name) for name in row.stages]
            terms = [t for stage in stages for t in count_terms("params", stage, self.graph)]
            yield from (note.message for note in sum_notes(terms))
        elif column == "output":
            for name in row.own_stages:
                op, inputs = self.graph.stage(name).op, self.graph.shapes_into(name)
                derivation = op.derivation(0, inputs)
                if derivation:
                    output = self.graph.stage(name).known_shape
                    yield f"{output} comes from {inputs[0]}: {derivation}"
        elif column == "input":
            reads = [f"{self.graph.stage(n).known_shape} of `{n}`" for n in row.inputs]
            yield f"{row.label} reads {', '.join(reads[:4])}{', ...' if len(reads) > 4 else ''}"

    # ---------------------------------------------------------------------------------- sentences

    @cached_property
    def totals(self) -> Totals:
        return self.graph.totals([s.name for s in self.graph.stages() if not s.head])

    def sentence(self, sentence: syntax.Says) -> Sentence | None:
        """Return the result of a sentence, or None if its condition has no value."""
        if sentence.condition is None:
            return Sentence(sentence.quote.text, sentence.how, "", sentence.by)
        bound: dict[str, Any] = {
            "params": self.totals.parameters,
            "macs": self.totals.macs,
            "neurons": self.totals.neurons,
        }
        scope = self.scope.inside((), bound)
        scope.derived = self._quantity
        try:
            holds = condition(sentence.condition, scope)
            derived = _derived(sentence.condition, scope)
        except Reported:
            return None
        quote = sentence.quote.text
        written = " ".join(self.scope.span(sentence.condition.at).text.split())
        if holds and sentence.erratum:
            message = "the erratum is not needed: the sentence holds"
            self._report("NS402", message, sentence.at, [Note(derived)], "remove the erratum")
        if holds:
            return Sentence(quote, "agree", derived, "", written)
        if sentence.erratum:
            return Sentence(quote, "erratum", derived, sentence.erratum, written)
        message, help = f"this does not hold: {derived}", 'say why: erratum "..."'
        self._report("NS404", message, sentence.at, [], help)
        return Sentence(quote, "disagree", derived, "", written)

    def _quantity(self, node: syntax.Quantity) -> int:
        name, _, quantity = node.text.rpartition(".")
        if quantity not in QUANTITIES:
            help = (
                did_you_mean(quantity, QUANTITIES) or f"the quantities are {', '.join(QUANTITIES)}"
            )
            message = f"`{quantity}` is not a derived quantity of rows and stages"
            raise self.scope.problem("NS130", message, node.at, help=help)
        if quantity == "stages":
            if name not in OPERATORS:
                help = did_you_mean(name, OPERATORS) or "stages of an operator: conv.stages"
                message = f"there is no operator `{name}`"
                raise self.scope.problem("NS112", message, node.at, help=help)
            return sum(s.op.name == name and not s.head for s in self.graph.stages())
        row = self.graph.rows.get(name)
        if row is None and name not in self.graph:
            help = did_you_mean(name, [*self.graph.rows, *self.graph.nx])
            message = f"there is no row or stage `{name}`"
            help = help or "`netspec summary --json` lists them"
            self._report("NS111", message, node.at, [], help)
            raise Reported
        stage = self.graph.stage(row.output if row else name)
        totals = self.graph.totals(row.stages if row else [name])
        counts = {"params": totals.parameters, "macs": totals.macs, "neurons": totals.neurons}
        if quantity in counts:
            return counts[quantity]
        shape = stage.known_shape
        if quantity == "channels":
            return shape.channels
        if quantity in ("height", "width"):
            return shape[quantity == "width"] if shape.is_map else 1
        assert stage.field is not None
        return stage.field.size[0]


def _derived(node: syntax.Expression, scope: Scope) -> str:
    """Return a condition's values: ``290,400, not 253,440``, ``60,965,224, about 60,000,000``."""
    if isinstance(node, syntax.Logical):
        return f" {node.operator} ".join(_derived(operand, scope) for operand in node.operands)
    if not isinstance(node, syntax.Comparison):
        return scope.span(node.at).text
    sides = [(side, evaluate(side, scope)) for side in (node.left, node.right)]
    if not all(isinstance(value, Word | BlockName) for _, value in sides):
        for side, value in sides:
            if isinstance(value, Word):
                number(side, scope)  # reports a word that is compared with a number
    left, right = (_shown(value) for _, value in sides)
    holds = condition(node, scope)
    sign = node.operator
    if sign in ("==", "!="):
        return left if holds == (sign == "==") else f"{left}, not {right}"
    if sign == "~":
        return f"{left}, {'' if holds else 'not '}about {right}"
    return f"{left} {sign} {right}" if holds else f"{left}, not {sign} {right}"


def _shown(value: Any) -> str:
    if isinstance(value, Fraction):
        return f"{float(value):,.6g}"
    return show(value) if isinstance(value, int) or is_symbolic(value) else values.show(value)


def _places(printed: syntax.PrintedRow, scope: Scope) -> dict[str, Span]:
    """Return the place of each cell of a row."""
    label = scope.span(printed.label.at)
    text = label.source.text
    if printed.errata:
        end = text.rindex("erratum", label.end, scope.span(printed.errata[0].at).start)
    else:
        end = re.compile(r"[;\r\n#}]|$").search(text, label.end).start()  # type: ignore[union-attr]
    places, start = [], label.end
    for piece in text[label.end : end].split("|"):
        left = start + len(piece) - len(piece.lstrip())
        places.append(Span(label.source, left, max(left, start + len(piece.rstrip()))))
        start += len(piece) + 1
    return dict(zip(COLUMNS, places[1:], strict=True))

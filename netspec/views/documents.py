"""Printed and derived tables side by side: as text, as data for programs, and as one page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, overload

from netspec.checking.tables import COLUMNS, Cell, Document, PrintedRow, Sentence
from netspec.ir.words import plural
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, cells_wide, printable, render
from netspec.net import Net, Spec, examined_spec

WIDTH = 96
S = TypeVar("S", bound=Spec)

_SENTENCES = {
    "agree": "holds",
    "erratum": "false",
    "disagree": "wrong",
    "measured": "measured",
    "needs": "needs",
}
_MARKS = {"agree": "", "erratum": " *", "disagree": " !"}


class Line(NamedTuple):
    """A line of the view, and its role."""

    text: str
    role: str = ""


@dataclass(frozen=True, repr=False)
class Documents:
    """The printed tables and sentences of a spec, each compared with its derived value.

    ``repr`` is what ``netspec document`` prints.

    Attributes:
        net: The net; ``net.documents`` are the printed tables and sentences.
        errors: Cells and sentences that disagree, and wrong claims.
    """

    net: Net
    errors: tuple[Diagnostic, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what ``netspec document --json`` prints; the keys are an interface for scripts."""
        return {
            "name": self.net.name,
            "documents": [
                {
                    "source": document.source,
                    "rows": [
                        {"label": row.label, "cells": [cell._asdict() for cell in row.cells]}
                        for row in document.rows
                    ],
                    "sentences": [sentence._asdict() for sentence in document.sentences],
                }
                for document in self.net.documents
            ],
        }

    def __repr__(self) -> str:
        texts = [line.text for line in lines(self.net)]
        return "\n".join([*texts, render(self.errors)] if self.errors else texts)

    def _repr_markdown_(self) -> str:
        return "\n".join(_section(self.net))


@overload
def document(spec: Spec, *, settings: Mapping[str, Setting] | None = None) -> Documents: ...
@overload
def document(
    spec: list[S] | tuple[S, ...], *, settings: Mapping[str, Setting] | None = None
) -> list[Documents]: ...
def document(
    spec: Any, *, settings: Mapping[str, Setting] | None = None
) -> Documents | list[Documents]:
    """Compare the tables and sentences that a spec carries as printed with what is derived.

    Args:
        spec: Path, name of a bundled spec, or net; a list of them gives a list of results.
        settings: Values of the parameters of a spec. A string is parsed as in a spec.

    Raises:
        SpecError: Shapes cannot be derived from the spec.
        TypeError: An argument has a wrong type.
    """
    if isinstance(spec, list | tuple):
        return [document(one, settings=settings) for one in spec]
    net, problems = examined_spec(spec, settings)
    return Documents(net, tuple(problems.errors))


def counted(documents: Iterable[Document]) -> str:
    """Return counts: ``44 cells: 43 agree, 1 has an erratum; 3 sentences: 2 hold, 1 is false``."""
    listed = list(documents)
    cells = [cell.status for d in listed for row in d.rows for cell in row.cells]
    sentences = [sentence.status for d in listed for sentence in d.sentences]
    parts = [
        _counts("printed cell", cells, (("agree", "agrees", "agree"), _ERRATA, _WRONG)),
        _counts(
            "sentence",
            sentences,
            (
                ("agree", "holds", "hold"),
                ("erratum", "is false", "are false"),
                _WRONG,
                ("measured", "is measured", "are measured"),
                ("needs", "needs data", "need data"),
            ),
        ),
    ]
    return "; ".join(part for part in parts if part)


_ERRATA = ("erratum", "has an erratum", "have errata")
_WRONG = ("disagree", "disagrees", "disagree")


def _counts(noun: str, statuses: Sequence[str], words: Iterable[tuple[str, str, str]]) -> str:
    if not statuses:
        return ""
    shown = [
        f"{statuses.count(status)} {one if statuses.count(status) == 1 else many}"
        for status, one, many in words
        if status in statuses
    ]
    return f"{len(statuses)} {plural(noun, len(statuses))}: {', '.join(shown)}"


# ------------------------------------------------------------------------------------------ text


def lines(net: Net) -> Iterator[Line]:
    """Yield the documents of a net as text."""
    title = f": {net.title}" if net.title else ""
    yield from _wrapped(f"{net.name}{title}", "", "strong")
    if not net.documents:
        yield Line("its spec does not contain a printed table", "quiet")
    for document in net.documents:
        yield Line("")
        yield from _wrapped(document.source, "", "strong")
        yield Line(counted([document]), "quiet")
        if document.rows:
            yield Line("")
            yield from _table(document.rows)
        if document.sentences:
            yield Line("")
            yield from _sentences(document.sentences)


def _table(rows: Sequence[PrintedRow]) -> Iterator[Line]:
    """Yield each row twice: as printed, and as derived."""
    columns = [c for c in COLUMNS if any(cell.column == c for row in rows for cell in row.cells)]
    body: list[tuple[PrintedRow, list[str], list[str]]] = []
    for row in rows:
        by_column = {cell.column: cell for cell in row.cells}
        printed = [
            by_column[c].printed + _MARKS[by_column[c].status] if c in by_column else ""
            for c in columns
        ]
        derived = [by_column[c].derived if c in by_column else "" for c in columns]
        body.append((row, [row.label, "printed", *printed], ["", "derived", *derived]))
    heads = ["row", "", *columns]
    every = [heads, *(line for _, *both in body for line in both)]
    widths = [max(cells_wide(line[i]) for line in every) for i in range(len(heads))]

    def joined(cells: Sequence[str]) -> str:
        padded = (c + " " * (w - cells_wide(c)) for c, w in zip(cells, widths, strict=True))
        return "  ".join(padded).rstrip()

    yield Line(joined(heads), "strong")
    for row, printed, derived in body:
        worst = _worst(row.cells)
        yield Line(joined(printed), worst)
        yield Line(joined(derived), "quiet")
        for cell in row.cells:
            if cell.status != "agree":
                yield from _why(cell)


def _worst(cells: Iterable[Cell]) -> str:
    statuses = {cell.status for cell in cells}
    return "error" if "disagree" in statuses else "erratum" if "erratum" in statuses else ""


def _why(cell: Cell) -> Iterator[Line]:
    word = "erratum" if cell.status == "erratum" else "disagrees"
    role = "erratum" if cell.status == "erratum" else "error"
    yield from _wrapped(f"{word} {cell.column}: {cell.why}", "      ", role)


def _sentences(sentences: Sequence[Sentence]) -> Iterator[Line]:
    for sentence in sentences:
        word = _SENTENCES[sentence.status]
        role = {"erratum": "erratum", "disagree": "error"}.get(sentence.status, "")
        text = f'{word:<9} "{sentence.quote}"'
        yield from _wrapped(text, "", role)
        detail = "; ".join(part for part in (sentence.derived, sentence.why) if part)
        yield from _wrapped(detail, " " * 10, "quiet")


def _wrapped(text: str, indent: str, role: str) -> Iterator[Line]:
    hanging = indent + " " * 10 if not indent else indent + "  "
    for line in textwrap.wrap(
        printable(text), WIDTH, initial_indent=indent, subsequent_indent=hanging
    ):
        yield Line(line, role)


# ------------------------------------------------------------------------------------------ page

_INTRODUCTION = """\
# The papers' claims, checked

The specs contain all tables that the AlexNet paper and the survey print, and all sentences in
them that can be checked. They also contain tables of other papers. netspec compares each with the
derived value. `netspec check` fails if one is wrong and the spec does not give the reason. The
reasons are below each table.

| result of a cell | meaning |
|---|---|
| agrees | the printed value is the derived value |
| erratum | the printed value is wrong: it is struck out and followed by the derived value |

| result of a sentence | meaning |
|---|---|
| holds | the sentence is true |
| false | the sentence is false, with the reason |
| measured | a command measures or shows it |
| needs | it needs data that is named |

`netspec document --markdown` generates this page from the specs, and a test compares the two.
"""


def markdown(nets: Sequence[Net]) -> str:
    """Return one page for the documents of all nets."""
    documented = [net for net in nets if net.documents]
    parts = [_INTRODUCTION, f"{counted(d for net in documented for d in net.documents)}.\n"]
    for net in documented:
        parts += _section(net)
    return "\n".join(parts).rstrip() + "\n"


def _section(net: Net) -> Iterator[str]:
    yield f"\n## {net.name}\n"
    for document in net.documents:
        yield f"### {document.source}\n\n{counted([document])}.\n"
        if document.rows:
            yield _markdown_table(document.rows)
        if document.sentences:
            yield _markdown_sentences(document.sentences)


def _markdown_table(rows: Sequence[PrintedRow]) -> str:
    out = [
        f"| row | {' | '.join(COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    errata = []
    for row in rows:
        by_column = {cell.column: cell for cell in row.cells}
        cells = [_markdown_cell(by_column[c]) if c in by_column else "" for c in COLUMNS]
        out.append(f"| {row.label} | {' | '.join(cells)} |")
        errata += [
            f"- **{row.label}, {cell.column}**: printed `{cell.printed}`, derived "
            f"`{cell.derived}`. {_plain(_sentence(cell.why))}"
            for cell in row.cells
            if cell.status != "agree"
        ]
    return "\n".join([*out, "", *errata, ""])


def _markdown_cell(cell: Cell) -> str:
    return (
        f"`{cell.printed}`" if cell.status == "agree" else f"~~`{cell.printed}`~~ `{cell.derived}`"
    )


def _markdown_sentences(sentences: Sequence[Sentence]) -> str:
    out = ["| the text says | result | derived value, reason or data |", "|---|---|---|"]
    for sentence in sentences:
        code = f"`{sentence.derived}`" if sentence.derived else ""
        detail = " ".join(part for part in (code, _plain(sentence.why)) if part)
        out.append(
            f"| {_cell(_plain(sentence.quote))} | {_SENTENCES[sentence.status]} | {_cell(detail)} |"
        )
    return "\n".join([*out, ""])


def _plain(text: str) -> str:
    """Escape products such as 55*48*96, which Markdown would read as emphasis."""
    return text.replace("*", "\\*")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."

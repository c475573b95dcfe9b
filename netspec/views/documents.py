"""Printed tables beside derived ones: as text, as data for programs, and as one page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from netspec.checking.tables import COLUMNS, Cell, Document, PrintedRow, Sentence
from netspec.ir.words import plural
from netspec.language.diagnostics import cells_wide, printable
from netspec.net import Net

WIDTH = 96

_SENTENCES = {
    "agree": "holds",
    "erratum": "false",
    "disagree": "wrong",
    "measured": "measured",
    "needs": "needs",
}
_MARKS = {"agree": "", "erratum": " *", "disagree": " !"}


class Line(NamedTuple):
    """A line of the view; ``role`` says what it is about."""

    text: str
    role: str = ""


def as_data(net: Net) -> dict[str, Any]:
    """The documents of a net; the keys are an interface for scripts."""
    return {
        "name": net.name,
        "documents": [
            {
                "source": document.source,
                "rows": [
                    {"label": row.label, "cells": [cell._asdict() for cell in row.cells]}
                    for row in document.rows
                ],
                "sentences": [sentence._asdict() for sentence in document.sentences],
            }
            for document in net.documents
        ],
    }


def counted(documents: Iterable[Document]) -> str:
    """``44 cells: 43 agree, 1 erratum; 3 sentences: 2 hold, 1 needs data``."""
    held = list(documents)
    cells = [cell.status for d in held for row in d.rows for cell in row.cells]
    said = [sentence.status for d in held for sentence in d.sentences]
    parts = [
        _counts("printed cell", cells, (("agree", "agrees", "agree"), _ERRATA, _WRONG)),
        _counts(
            "sentence",
            said,
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


def _counts(what: str, found: Sequence[str], words: Iterable[tuple[str, str, str]]) -> str:
    if not found:
        return ""
    shown = [
        f"{found.count(status)} {one if found.count(status) == 1 else many}"
        for status, one, many in words
        if status in found
    ]
    return f"{len(found)} {plural(what, len(found))}: {', '.join(shown)}"


# ------------------------------------------------------------------------------------------ text


def lines(net: Net) -> Iterator[Line]:
    """The documents of a net as text."""
    title = f": {net.title}" if net.title else ""
    yield from _wrapped(f"{net.name}{title}", "", "strong")
    if not net.documents:
        yield Line("its spec carries no printed table", "quiet")
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
    """Each row twice: as printed, and as derived."""
    columns = [c for c in COLUMNS if any(cell.column == c for row in rows for cell in row.cells)]
    body: list[tuple[PrintedRow, list[str], list[str]]] = []
    for row in rows:
        held = {cell.column: cell for cell in row.cells}
        printed = [held[c].printed + _MARKS[held[c].status] if c in held else "" for c in columns]
        derived = [held[c].derived if c in held else "" for c in columns]
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
    found = {cell.status for cell in cells}
    return "error" if "disagree" in found else "erratum" if "erratum" in found else ""


def _why(cell: Cell) -> Iterator[Line]:
    word = "erratum" if cell.status == "erratum" else "disagrees"
    role = "erratum" if cell.status == "erratum" else "error"
    yield from _wrapped(f"{word} {cell.column}: {cell.why}", "      ", role)


def _sentences(sentences: Sequence[Sentence]) -> Iterator[Line]:
    for said in sentences:
        word = _SENTENCES[said.status]
        role = {"erratum": "erratum", "disagree": "error"}.get(said.status, "")
        text = f'{word:<9} "{said.quote}"'
        yield from _wrapped(text, "", role)
        detail = "; ".join(part for part in (said.derived, said.why) if part)
        yield from _wrapped(detail, " " * 10, "quiet")


def _wrapped(text: str, indent: str, role: str) -> Iterator[Line]:
    hanging = indent + " " * 10 if not indent else indent + "  "
    for line in textwrap.wrap(
        printable(text), WIDTH, initial_indent=indent, subsequent_indent=hanging
    ):
        yield Line(line, role)


# ------------------------------------------------------------------------------------------ page

_INTRODUCTION = """\
# What the documents claim

Every table that the AlexNet paper and the survey print, and every sentence in them that can be
checked, is carried by a spec and held against what netspec derives.  A cell **agrees**, or has an
**erratum** that says why the print cannot be right.  A sentence **holds**, is **false** for a
reason, is **measured** by a command, or **needs** data that is named.  `netspec check` fails on
anything else, so this page cannot drift from the specs: it is written by
`netspec document --markdown`, and a test compares the two.
"""


def markdown(nets: Sequence[Net]) -> str:
    """The ledger: one page for all documents."""
    held = [net for net in nets if net.documents]
    parts = [_INTRODUCTION, f"{counted(d for net in held for d in net.documents)}.\n"]
    for net in held:
        parts.append(f"\n## {net.name}\n")
        for document in net.documents:
            parts.append(f"### {document.source}\n\n{counted([document])}.\n")
            if document.rows:
                parts.append(_markdown_table(document.rows))
            if document.sentences:
                parts.append(_markdown_sentences(document.sentences))
    return "\n".join(parts).rstrip() + "\n"


def _markdown_table(rows: Sequence[PrintedRow]) -> str:
    out = [
        f"| row | {' | '.join(COLUMNS)} |",
        f"|---|{'---|' * len(COLUMNS)}",
    ]
    errata = []
    for row in rows:
        held = {cell.column: cell for cell in row.cells}
        cells = [_markdown_cell(held[c]) if c in held else "" for c in COLUMNS]
        out.append(f"| {row.label} | {' | '.join(cells)} |")
        errata += [
            f"- **{row.label}, {cell.column}**: `{cell.printed}` is printed, `{cell.derived}` "
            f"derived. {_plain(_sentence(cell.why))}"
            for cell in row.cells
            if cell.status != "agree"
        ]
    return "\n".join([*out, "", *errata, ""])


def _markdown_cell(cell: Cell) -> str:
    return (
        f"`{cell.printed}`" if cell.status == "agree" else f"~~`{cell.printed}`~~ `{cell.derived}`"
    )


def _markdown_sentences(sentences: Sequence[Sentence]) -> str:
    out = ["| the text says | | |", "|---|---|---|"]
    for said in sentences:
        code = f"`{said.derived}`" if said.derived else ""
        detail = " ".join(part for part in (code, _plain(said.why)) if part)
        out.append(f"| {_cell(_plain(said.quote))} | {_SENTENCES[said.status]} | {_cell(detail)} |")
    return "\n".join([*out, ""])


def _plain(text: str) -> str:
    """A text whose products are not taken for emphasis: 55*48*96."""
    return text.replace("*", "\\*")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."

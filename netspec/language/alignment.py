"""Print the lines of a spec as text, with tables aligned.

A table is a run of rows or of sentences, a recipe, or a printed table.  Blank lines and other
statements end a run; comments do not.  A column is as wide as its widest cell, but a cell
above a limit does not count, so that one long row does not move the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby, pairwise

from netspec.language.diagnostics import cells_wide
from netspec.language.lines import Line, Token, joined

GAP = 3
"""Spaces before an arrow, between claims, and before a comment."""

ALIGNED_VALUES = 3
"""Values that a call has at least when they are aligned with those of the row above."""

LONGEST_LABEL = 16
LONGEST_PIPE = 88
LONGEST_CELL = 40
LONGEST_QUOTE = 50
LONGEST_LINE = 110
FARTHEST_COMMENT = 40
"""The most columns that a comment moves for the line below or above."""

_MEASURES = ("params", "macs", "neurons", "field")


def texts(lines: Sequence[Line]) -> list[str]:
    """Return each line's tokens as text, aligned with the other lines of its table."""
    laid = [joined(line.tokens) for line in lines]
    for kind, table in _tables(lines):
        for i, text in zip(table, _LAY_OUT[kind]([lines[i].tokens for i in table]), strict=True):
            laid[i] = text
    return laid


def with_comments(lines: Sequence[Line], laid: Sequence[str]) -> list[str]:
    """The lines with their comments; those at the ends of neighbouring lines share a column."""
    result: list[str] = []
    blanks = accumulate(line.is_after_blank for line in lines)
    for _, run in groupby(
        zip(lines, laid, blanks, strict=True),
        key=lambda item: (item[0].depth, item[2], bool(item[1] and item[0].comment)),
    ):
        rows = [[cell for cell in (text, line.comment) if cell] for line, text, _ in run]
        narrowest = min(cells_wide(row[0]) for row in rows)
        result += aligned(rows, limit=narrowest + FARTHEST_COMMENT)
    return result


def aligned(
    rows: Iterable[Sequence[str]], *, gap: int = GAP, limit: int = LONGEST_CELL
) -> list[str]:
    """Rows of cells as lines of text, the cells of a column below each other.

    The last cell of a row makes no column wider, nor does one that is wider than ``limit``.
    """
    rows = list(rows)
    widths = [0] * max(map(len, rows), default=0)
    for row in rows:
        for i, cell in enumerate(row[:-1]):
            width = cells_wide(cell)
            if width <= limit:
                widths[i] = max(widths[i], width)
    return [
        "".join(
            cell + " " * (max(width - cells_wide(cell), 0) + gap) if i < len(row) - 1 else cell
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


# ---------------------------------------------------------------------------------- finding tables

_Table = tuple[str, list[int]]

_RUNS = ("row", "head", "says")
"""Tables that end at a blank line or at another statement; others end with their braces."""


def _tables(lines: Sequence[Line]) -> Iterable[_Table]:
    """Return the tables, each as its kind and the numbers of its lines."""
    tables: list[_Table] = []
    around: list[dict[str, _Table]] = []  # the tables that a line may belong to, by its depth
    for i, line in enumerate(lines):
        while len(around) <= line.depth:
            around.append({})
        del around[line.depth + 1 :]
        here = around[line.depth]
        kind = _kind(line, here)
        for run in _RUNS:
            if line.is_after_blank or (line.tokens and kind != run):
                here.pop(run, None)
        if kind and kind not in here:
            here[kind] = (kind, [])
            tables.append(here[kind])
        if kind:
            here[kind][1].append(i)
    return tables


def _kind(line: Line, here: dict[str, _Table]) -> str:
    """Return the kind of table of a line; an empty string if it has several statements."""
    depth = 0
    for token in line.tokens:
        depth += (token.kind == "{") - (token.kind == "}")
        if token.kind == ";" and depth <= 0:
            return ""
    marks = [t.kind for t in line.tokens if t.kind in (":", "{", "|")]
    first = line.tokens[0].text if line.tokens else ""
    if line.holds == "statements" and line.closes:
        return next((kind for kind in ("row", "head") if kind in here), "")
    if line.holds == "statements" and marks[:1] == [":"]:
        return "head" if first == "head" else "row"
    if line.holds == "directives" and first:
        return "directive"
    if line.holds == "entries" and first:
        return "printed" if marks else "says"
    return ""


# ---------------------------------------------------------------------------- laying out one table

_Tokens = Sequence[Token]


def _rows(table: Sequence[_Tokens]) -> list[str]:
    """Align labels, pipes, sizes and measures in columns."""
    cut = [_parted(row, _first(row, "->")) for row in table]
    begins = _begins([begin for begin, _ in cut])
    claims = _claims([claims for _, claims in cut])
    return aligned(map(_filled, zip(begins, claims, strict=True)), limit=LONGEST_PIPE)


def _begins(rows: Sequence[_Tokens]) -> list[str]:
    """Align labels and pipes; a row that closes a brace has no label."""
    cut = [_parted(row, 0 if row[0].kind == "}" else _first(row, ":") + 1) for row in rows]
    labels = [joined(label) for label, _ in cut]
    pipes = _pipes([pipe for _, pipe in cut])
    return aligned(map(_filled, zip(labels, pipes, strict=True)), gap=1, limit=LONGEST_LABEL)


def _pipes(pipes: Sequence[_Tokens]) -> list[str]:
    """Return pipes, with the arguments of neighbours that begin with the same call aligned."""
    result: list[str] = []
    for call, run in groupby(pipes, key=_call):
        if call is None:
            result += map(joined, run)
        else:
            result += aligned(map(_arguments, run), gap=1)
    return result


def _call(pipe: _Tokens) -> tuple[str, int] | None:
    """Return a stage's name and number of values; None if they are few, or not only values."""
    stage = pipe[: _first(pipe, "|")]
    values = 1 + sum(token.kind == "," for token in stage)
    is_plain = all(token.kind in ("word", ",") for token in stage)
    return (stage[0].text, values) if is_plain and values >= ALIGNED_VALUES else None


def _arguments(pipe: _Tokens) -> list[str]:
    """The first stage's arguments: its name is with the first, what follows it with the last."""
    end = _first(pipe, "|")
    ends = [i + 1 for i in range(end) if pipe[i].kind == ","]
    return [joined(pipe[i:j]) for i, j in pairwise([0, *ends, len(pipe)])]


def _claims(table: Sequence[_Tokens]) -> list[str]:
    """Return the claims after the arrow; sizes have a column if any row claims one."""
    cells = []
    for claims in table:
        starts = [i for i, t in enumerate(claims) if t.kind == "word" and t.text in _MEASURES]
        cells.append([joined(claims[i:j]) for i, j in pairwise([0, *starts, len(claims)])])
    if all(row[0] in ("", "->") for row in cells):
        cells = [[" ".join(row[:2]), *row[2:]] for row in cells]
    return aligned(cells)


def _directives(table: Sequence[_Tokens]) -> list[str]:
    """Return the directives of a recipe, and their steps."""
    return aligned(
        (_filled((joined(row[:1]), joined(row[1:]))) for row in table), gap=1, limit=LONGEST_LABEL
    )


def _printed(table: Sequence[_Tokens]) -> list[str]:
    """Return the cells of a printed table between bars, then its errata."""
    cells, errata = [], []
    for row in table:
        printed, erratum = _errata(row)
        bars = [i for i, token in enumerate(printed) if token.kind == "|"]
        cells.append([joined(printed[i:j]) for i, j in pairwise([0, *bars, len(printed)])])
        errata.append(erratum)
    rows = zip(aligned(cells, gap=1), errata, strict=True)
    return aligned(map(_filled, rows), limit=LONGEST_LINE)


def _says(table: Sequence[_Tokens]) -> list[str]:
    """Return the quotes of sentences, and their conditions."""
    cells = []
    for row in table:
        sentence, erratum = _errata(row)
        meaning = _filled((joined(sentence[2:]), erratum))
        cells.append([joined(sentence[:2]), (" " * GAP).join(meaning)])
    return aligned(cells, gap=2, limit=len('says ""') + LONGEST_QUOTE)


_LAY_OUT = {
    "row": _rows,
    "head": _rows,
    "directive": _directives,
    "printed": _printed,
    "says": _says,
}


def _first(tokens: _Tokens, kind: str) -> int:
    """Return the index of the first token of a kind, or the number of tokens."""
    return next((i for i, token in enumerate(tokens) if token.kind == kind), len(tokens))


def _parted(tokens: _Tokens, index: int) -> tuple[_Tokens, _Tokens]:
    return tokens[:index], tokens[index:]


def _filled(cells: tuple[str, ...]) -> list[str]:
    """Return the cells that are not empty."""
    return [cell for cell in cells if cell]


def _errata(tokens: _Tokens) -> tuple[_Tokens, str]:
    """Return the tokens before the errata, and the errata as text."""
    starts = [i for i, t in enumerate(tokens) if t.kind == "word" and t.text == "erratum"]
    texts = [joined(tokens[i:j]) for i, j in pairwise([*starts, len(tokens)])]
    return tokens[: starts[0]] if starts else tokens, (" " * GAP).join(texts)

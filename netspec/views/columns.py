"""Columns of text, as narrow as possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netspec.language.diagnostics import cells_wide, printable


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield one line per row; the first row is the heading, with a rule below it."""
    cells = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(cells_wide, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        padded = (
            cell + " " * (width - cells_wide(cell)) for cell, width in zip(row, widths, strict=True)
        )
        yield "   ".join(padded).rstrip()
        if number == 0:
            yield "─" * (sum(widths) + 3 * (len(widths) - 1))

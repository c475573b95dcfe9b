"""The table of a net with derived values, as ``netspec summary`` prints it."""

from __future__ import annotations

from itertools import islice

from netspec.reporting.html import Html, element, joined, table
from netspec.reporting.subject import Subject
from netspec.views.table import COLUMNS, NUMBERS, cells_of, totals_of

MOST = 1_000
"""Rows that a page shows."""


def content(subject: Subject) -> Html:
    """Return the rows of a net with their sizes and counts, and its totals."""
    net = subject.net
    shown = table(
        COLUMNS,
        (cells_of(row) for row in islice(net.rows, MOST)),
        numbers=NUMBERS,
        foot=totals_of(net),
        caption=f"Rows of {net.name}",
        class_="rows",
    )
    hidden = len(net.rows) - MOST
    if hidden <= 0:
        return shown
    note = f"{hidden:,} more rows are not shown; netspec summary prints all."
    return joined([shown, element("p", note)])

"""The rows of a net that have most parameters and multiply-accumulates, and take most time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netspec.ir.rows import TableRow
from netspec.ir.symbols import show
from netspec.ir.words import as_size
from netspec.net import Net
from netspec.reporting.facts import Facts, as_list
from netspec.reporting.html import Html, bar, element, joined, table
from netspec.reporting.measuring import Measured
from netspec.reporting.subject import Subject

MOST = 60
"""Rows that are listed."""


def content(subject: Subject) -> Html:
    """Return totals, and the share of each row in them."""
    net, measured = subject.net, subject.measured
    rows = [row for row in net.rows if row.parameters or row.macs]
    listed = _largest(rows)
    columns = ["row", "parameters", "", "MACs", " "]
    numbers = ["parameters", "MACs"]
    kinds: list[list[Any]] = [[row.parameters for row in listed], [row.macs for row in listed]]
    if measured:
        columns += ["ms", "  "]
        numbers.append("ms")
        kinds.append([1e3 * measured.seconds_of(net, row.label) for row in listed])
    cells = [[row.label] for row in listed]
    for values in kinds:
        most = max((value for value in values if _is_number(value)), default=0)
        for line, value in zip(cells, values, strict=True):
            line += [_text(value), bar(value / most if most and _is_number(value) else 0)]
    parts = [as_list(_totals(net, measured))]
    if listed:
        parts.append(table(columns, cells, numbers=numbers, caption="Costs by row", class_="costs"))
    notes = ["A bar is a share of the largest row."]
    if len(rows) > len(listed):
        notes.append(f"The {MOST} rows with most multiply-accumulates of {len(rows):,} are listed.")
    if measured:
        notes.append(measured.described)
    return joined([*parts, element("p", " ".join(notes), class_="note")])


def _largest(rows: Sequence[TableRow]) -> list[TableRow]:
    """Return the rows with most multiply-accumulates in their order; all if they are few."""
    if len(rows) <= MOST:
        return list(rows)
    order = sorted(range(len(rows)), key=lambda n: -_number(rows[n].macs))
    return [rows[n] for n in sorted(order[:MOST])]


def _totals(net: Net, measured: Measured | None) -> Facts:
    totals = net.totals
    parameters = totals.parameters + totals.buffers
    weights = f"{as_size(4 * parameters)} in float32" if _is_number(parameters) else ""
    time = [] if measured is None else [("time", f"{1e3 * measured.seconds:,.2f} ms per image")]
    return [
        ("weights", weights),
        ("multiply-accumulates", f"{show(totals.macs)} per image"),
        ("values of all layers", f"{show(totals.neurons)} per image"),
        *time,
    ]


def _is_number(value: Any) -> bool:
    """Return False for a count with symbols."""
    return isinstance(value, int | float)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else 0.0


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    return show(value) if value else ""

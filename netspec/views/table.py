"""The table of a net, as papers print it, with derived values."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import zip_longest
from typing import Any, NamedTuple

from netspec.ir.columns import exchanging
from netspec.ir.symbols import by, show
from netspec.language.diagnostics import cells_wide, printable
from netspec.net import Net
from netspec.views.summary import summary

COLUMNS = ("row", "layers", "input", "kernel", "output", "parameters", "MACs", "field")
NUMBERS = ("parameters", "MACs", "field")
NARROWER: tuple[tuple[str, ...], ...] = ((), ("input",), ("input", "layers"))
"""Columns to leave out, one set after another, until the table fits a terminal."""


class Line(NamedTuple):
    """A line of the table as text; headings and totals are strong."""

    text: str
    is_strong: bool = False


def lines(net: Net, width: int | None = None) -> list[Line]:
    """The table as text, as wide as it needs to be.

    If ``width`` is too narrow for all columns, some are left out; numbers are never cut.
    """
    body, totals = _body(net), _totals(net)
    shown: list[Line] = []
    for missing in NARROWER:
        chosen = [i for i, column in enumerate(COLUMNS) if column not in missing]
        shown = list(_aligned(chosen, body, totals))
        if width is None or cells_wide(shown[0].text) <= width:
            break
    heading = [Line(text, is_strong=True) for text in _title(net)]
    return [*heading, Line(""), *shown]


def as_text(net: Net) -> str:
    """Return the table as plain text."""
    return "\n".join(line.text for line in lines(net))


def as_html(net: Net) -> str:
    """Return the table as HTML, for a notebook."""
    head = _html_row(COLUMNS, "th")
    body = "".join(_html_row(cells, "td") for cells in _body(net))
    foot = "".join(_html_row(cells, "th") for cells in _totals(net))
    caption = f"<caption><b>{escape(net.name)}</b> {escape(printable(net.title))}</caption>"
    return (
        f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody><tfoot>{foot}</tfoot></table>"
    )


# ----------------------------------------------------------------------------------------- cells

Cells = tuple[str, ...]


def _title(net: Net) -> list[str]:
    inputs = (f"{name} {net.graph.stage(name).shape}" for name in net.graph.inputs)
    first = f"{net.name}: {', '.join(inputs)}"
    texts = [first, printable(net.title)] if net.title else [first]
    exchange = exchanging(net.graph)
    if net.graph.columns and exchange:
        rows = ", ".join(exchange)
        texts.append(f"{net.graph.columns.number} columns, which read each other in {rows}")
    return texts


def _body(net: Net) -> list[Cells]:
    return [_cells(net, row) for row in summary(net)["rows"]]


def _cells(net: Net, row: dict[str, Any]) -> Cells:
    sizes = row["input"] if isinstance(row["input"][0], list) else [row["input"]]
    height, width = row["field"]["size"]
    head = row["head"]
    return (
        f"{head} (head)" if head else row["label"],
        " ".join(net.graph.rows[row["label"]].words),
        ", ".join(by(size) for size in sizes),
        (row["kernel"] or "").replace("; ", "\n"),
        by(row["output"]),
        show(row["parameters"]) if row["parameters"] else "",
        show(row["macs"]) if row["macs"] else "",
        str(height) if height == width else by((height, width)),
    )


def _totals(net: Net) -> list[Cells]:
    counted = [("total", net.totals)]
    if net.graph.heads:
        counted.append(("with heads", net.totals_with_heads))
    return [
        (name, "", "", "", "", show(total.parameters), show(total.macs), "")
        for name, total in counted
    ]


# ---------------------------------------------------------------------------------------- layout


def _aligned(chosen: list[int], body: list[Cells], totals: list[Cells]) -> Iterator[Line]:
    widths = {
        i: max(
            cells_wide(line) for cells in (COLUMNS, *body, *totals) for line in cells[i].split("\n")
        )
        for i in chosen
    }

    def line(cells: Cells) -> str:
        padded = (
            " " * (widths[i] - cells_wide(cell)) + cell
            if COLUMNS[i] in NUMBERS
            else cell + " " * (widths[i] - cells_wide(cell))
            for i, cell in zip(chosen, cells, strict=True)
        )
        return "   ".join(padded)

    yield Line(line(tuple(COLUMNS[i] for i in chosen)), is_strong=True)
    yield Line("─" * (sum(widths.values()) + 3 * (len(chosen) - 1)))
    for cells in body:
        stacked = zip_longest(*(cells[i].split("\n") for i in chosen), fillvalue="")
        for part in stacked:
            yield Line(line(part).rstrip())
    yield Line("")
    for cells in totals:
        yield Line(line(tuple(cells[i] for i in chosen)).rstrip(), is_strong=True)


def _html_row(cells: Cells, tag: str) -> str:
    shown = zip(COLUMNS, cells, strict=True)
    return f"<tr>{''.join(_html_cell(column, cell, tag) for column, cell in shown)}</tr>"


def _html_cell(column: str, value: str, tag: str) -> str:
    align = "right" if column in NUMBERS else "left"
    shown = escape(value).replace("\n", "<br>")
    return f'<{tag} style="text-align:{align}">{shown}</{tag}>'

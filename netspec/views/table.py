"""The table of a net: as a paper prints it, but derived."""

from __future__ import annotations

from html import escape
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from netspec.net import Net
from netspec.views.summary import summary

COLUMNS = ("row", "layers", "input", "kernel", "output", "parameters", "MACs", "field")
NUMBERS = ("parameters", "MACs", "field")
NARROWER: tuple[tuple[str, ...], ...] = ((), ("input",), ("input", "layers"))
"""Columns to leave out, one set after another, until the table fits the terminal."""
UNBOUNDED = 100_000


def rows_of(net: Net) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The cells of the table, by row, and those of its last lines, the totals."""
    data = summary(net)
    body = [_cells(net, row) for row in data["rows"]]
    totals: list[tuple[str, ...]] = [
        ("total", "", "", "", "", f"{data['parameters']:,}", f"{data['macs']:,}", "")
    ]
    if net.graph.heads:
        with_heads = data["with_heads"]
        counts = f"{with_heads['parameters']:,}", f"{with_heads['macs']:,}"
        totals.append(("with heads", "", "", "", "", *counts, ""))
    return body, totals


def _cells(net: Net, row: dict[str, Any]) -> tuple[str, ...]:
    sizes = row["input"] if isinstance(row["input"][0], list) else [row["input"]]
    height, width = row["field"]["size"]
    head = row["head"]
    return (
        f"{head} (head)" if head else row["label"],
        " ".join(net.graph.rows[row["label"]].words),
        ", ".join("x".join(map(str, size)) for size in sizes),
        (row["kernel"] or "").replace("; ", "\n"),
        "x".join(map(str, row["output"])),
        f"{row['parameters']:,}" if row["parameters"] else "",
        f"{row['macs']:,}" if row["macs"] else "",
        str(height) if height == width else f"{height}x{width}",
    )


def table(net: Net, columns: tuple[str, ...] = COLUMNS) -> Table:
    """The table for a terminal, or some of its columns."""
    title = Text(_title(net))
    shown = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    shown.title_style = "bold"
    for column in columns:
        justify: Any = "right" if column in NUMBERS else "left"
        shown.add_column(column, justify=justify, no_wrap=True)
    chosen = [COLUMNS.index(column) for column in columns]
    body, totals = rows_of(net)
    for cells in body:
        shown.add_row(*(cells[i] for i in chosen))
    shown.add_section()
    for cells in totals:
        shown.add_row(*(cells[i] for i in chosen), style="bold")
    return shown


def _title(net: Net) -> str:
    inputs = (f"{name} {net.graph.stage(name).shape}" for name in net.graph.inputs)
    return f"{net.name}: {', '.join(inputs)}" + (f"\n{net.title}" if net.title else "")


def as_text(net: Net) -> str:
    """The table as plain text, as wide as it needs to be."""
    shown, printed = table(net), StringIO()
    console = Console(file=printed, width=_width(shown), color_system=None, legacy_windows=False)
    console.print(shown, highlight=False, markup=False)
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()).strip("\n")


def _width(shown: Table) -> int:
    return Console(width=UNBOUNDED).measure(shown).maximum


def print_table(net: Net) -> None:
    """Print the table to a terminal; a narrow one shows fewer columns, never a cut number."""
    console = Console()
    for missing in NARROWER:
        shown = table(net, tuple(c for c in COLUMNS if c not in missing))
        if _width(shown) <= console.width:
            break
    console.width = max(console.width, _width(shown))
    console.print(shown, highlight=False)


def as_html(net: Net) -> str:
    """The table as HTML, for a notebook."""
    body, totals = rows_of(net)

    def line(cells: tuple[str, ...], tag: str) -> str:
        return (
            "<tr>"
            + "".join(_cell(c, v, tag) for c, v in zip(COLUMNS, cells, strict=True))
            + "</tr>"
        )

    head = line(COLUMNS, "th")
    rows = "".join(line(cells, "td") for cells in body)
    foot = "".join(line(cells, "th") for cells in totals)
    caption = f"<caption><b>{escape(net.name)}</b> {escape(net.title)}</caption>"
    return (
        f"<table>{caption}<thead>{head}</thead><tbody>{rows}</tbody><tfoot>{foot}</tfoot></table>"
    )


def _cell(column: str, value: str, tag: str) -> str:
    align = "right" if column in NUMBERS else "left"
    shown = escape(value).replace("\n", "<br>")
    return f'<{tag} style="text-align:{align}">{shown}</{tag}>'

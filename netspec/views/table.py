"""The table of a net with derived values, laid out as papers print it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import zip_longest
from textwrap import wrap
from typing import NamedTuple

from netspec.ir.columns import exchanging
from netspec.ir.rows import TableRow
from netspec.ir.symbols import by, show
from netspec.language.diagnostics import cells_wide, printable
from netspec.net import Net

COLUMNS = ("row", "layers", "input", "kernel", "output", "parameters", "MACs", "field")
NUMBERS = ("parameters", "MACs", "field")
OPTIONAL = ("kernel", "MACs", "input", "field")
"""Columns that a narrow terminal may hide, the most important first; others are always shown."""
IN_A_LINE = 3
"""Kernels of a branch that are in one line: those of a bottleneck."""


class Line(NamedTuple):
    """A line of the table as text; headings and totals are strong."""

    text: str
    is_strong: bool = False


def lines(net: Net, rows: Iterable[TableRow], width: int | None = None) -> list[Line]:
    """Return rows of a net as a table with its title and totals, as wide as it needs to be.

    If ``width`` is too narrow for all columns, those that fit are shown, the most important first,
    and the last line names the others. If the columns that are always shown are too wide, the
    column "layers" is wrapped. Numbers are never cut.
    """
    body, totals = list(map(cells_of, rows)), totals_of(net)

    def table(hidden: Sequence[str]) -> list[Line]:
        chosen = [i for i, column in enumerate(COLUMNS) if column not in hidden]
        return list(_aligned(chosen, body, totals))

    def excess(shown: list[Line]) -> int:
        return 0 if width is None else max(0, cells_wide(shown[0].text) - width)

    hidden = list(OPTIONAL)
    shown = table(hidden)
    if too_wide := excess(shown):
        body = _wrapped(body, too_wide)
        shown = table(hidden)
    else:
        for column in OPTIONAL:
            wider = table([other for other in hidden if other != column])
            if not excess(wider):
                hidden.remove(column)
                shown = wider
    heading = [Line(text, is_strong=True) for text in _title(net)]
    return [*heading, Line(""), *shown, *_hidden(hidden)]


def as_text(net: Net) -> str:
    """Return the table as plain text."""
    return "\n".join(line.text for line in lines(net, net.rows))


def as_html(net: Net) -> str:
    """Return the table as HTML, for a notebook."""
    foot = "".join(_html_row(cells, "th") for cells in totals_of(net))
    caption = f"<caption><b>{escape(net.name)}</b> {escape(printable(net.title))}</caption>"
    return f"<table>{caption}{_html_rows(net.rows)}<tfoot>{foot}</tfoot></table>"


def rows_as_text(rows: Iterable[TableRow]) -> str:
    """Return some rows under the heading of the table, as plain text."""
    return "\n".join(line.text for line in _aligned([*range(len(COLUMNS))], [*map(cells_of, rows)]))


def rows_as_html(rows: Iterable[TableRow]) -> str:
    """Return some rows under the heading of the table as HTML, for a notebook."""
    return f"<table>{_html_rows(rows)}</table>"


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


def _hidden(columns: Sequence[str]) -> Iterator[Line]:
    if columns:
        noun = "column" if len(columns) == 1 else "columns"
        yield Line("")
        yield Line(f"Hidden {noun}: {', '.join(columns)}.")
        yield Line("Use a wider terminal, --json, or a pipe to see all.")


def _wrapped(body: Iterable[Cells], excess: int) -> list[Cells]:
    """Return cells whose column "layers" is narrower by ``excess``, but not than its words."""
    place, body = COLUMNS.index("layers"), list(body)
    width = max((len(cells[place]) for cells in body), default=0) - excess
    wrapped = (
        "\n".join(wrap(cells[place], max(width, 1), break_long_words=False)) for cells in body
    )
    return [
        (*cells[:place], layers, *cells[place + 1 :])
        for cells, layers in zip(body, wrapped, strict=True)
    ]


def _folded(chain: str) -> Iterator[str]:
    """Yield the kernels of a chain in lines of at most three."""
    text = chain.lstrip(" ")
    indent, kernels = " " * (len(chain) - len(text)), text.split(" | ")
    for start in range(0, len(kernels), IN_A_LINE):
        part = kernels[start : start + IN_A_LINE]
        more = " |" if start + IN_A_LINE < len(kernels) else ""
        yield indent + ("  " if start else "") + " | ".join(part) + more


def cells_of(row: TableRow) -> Cells:
    """Return the cells of a row, in the order of ``COLUMNS``; a cell can have several lines."""
    height, width = row.field.size
    return (
        f"{row.label} (head)" if row.head else row.label,
        " ".join(row.layers),
        ", ".join(map(by, row.inputs)),
        "\n".join(part for kernel in row.kernels for part in _folded(kernel)),
        by(row.output),
        show(row.parameters) if row.parameters else "",
        show(row.macs) if row.macs else "",
        str(height) if height == width else by((height, width)),
    )


def totals_of(net: Net) -> list[Cells]:
    """Return the cells of the totals, without and with heads."""
    counted = [("total", net.totals)]
    if net.graph.heads:
        counted.append(("with heads", net.totals_with_heads))
    return [
        (name, "", "", "", "", show(total.parameters), show(total.macs), "")
        for name, total in counted
    ]


# ---------------------------------------------------------------------------------------- layout


def _aligned(chosen: list[int], body: list[Cells], totals: Sequence[Cells] = ()) -> Iterator[Line]:
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
    if totals:
        yield Line("")
    for cells in totals:
        yield Line(line(tuple(cells[i] for i in chosen)).rstrip(), is_strong=True)


def _html_rows(rows: Iterable[TableRow]) -> str:
    body = "".join(_html_row(cells_of(row), "td") for row in rows)
    return f"<thead>{_html_row(COLUMNS, 'th')}</thead><tbody>{body}</tbody>"


def _html_row(cells: Cells, tag: str) -> str:
    shown = zip(COLUMNS, cells, strict=True)
    return f"<tr>{''.join(_html_cell(column, cell, tag) for column, cell in shown)}</tr>"


def _html_cell(column: str, value: str, tag: str) -> str:
    align = "right" if column in NUMBERS else "left"
    shown = escape(value).replace("\n", "<br>").replace("  ", "&nbsp;&nbsp;")  # indents
    return f'<{tag} style="text-align:{align}">{shown}</{tag}>'

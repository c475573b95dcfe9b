"""The differences of two nets, as a table for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby, zip_longest
from typing import Any, NamedTuple

from netspec.ir.shapes import Shape
from netspec.ir.words import counted
from netspec.language.diagnostics import cells_wide
from netspec.net import Net
from netspec.views.diff import COUNTS, Diff, Pair
from netspec.views.diff_text import WIDTH, Line, names_of, of_net, pair_of, text_lines, wrapped

COLUMNS = ("row", "layers", "kernel", "output", "parameters", "MACs")
NUMBERS = ("parameters", "MACs")
WIDEST_NUMBER = 20
"""The largest width of a number; other values, such as formulas, are wrapped."""

STAGES_AT_MOST = 6
LABELS_AT_MOST = 5
LONGEST = 10**15
"""Counts from this one on are shown in powers of ten, so that no number is cut."""

Cells = tuple[str, ...]


class _Part(NamedTuple):
    """A line of the table before it is laid out: cells, or one text of the whole width."""

    mark: str
    cells: Cells
    role: str = ""


def lines(difference: Diff) -> list[Line]:
    """Return the two nets, their rows in order, and their totals, at most 80 columns wide."""
    heading = [*_title("-", difference.a), *_title("+", difference.b)]
    if difference.is_empty:
        (parameters, _), (macs, _) = (difference.totals[count] for count in COUNTS)
        totals = f"{show(parameters)} parameters, {show(macs)} MACs"
        is_same_name = difference.a.name == difference.b.name
        same = "no differences" if is_same_name else "no differences but the name"
        return [
            *heading,
            Line(""),
            *text_lines(f"{same}: {counted(len(difference.rows), 'row')}, {totals}"),
        ]
    heading += text_lines("~ in both: first the value in -, then the value in +")
    table = _aligned(list(_rows(difference)), list(_totals(difference)))
    return [*heading, *of_net(difference.changes), Line(""), *table]


def as_text(difference: Diff) -> str:
    """Return the same as plain text."""
    return "\n".join(line.text for line in lines(difference))


# ---------------------------------------------------------------------------------------- numbers


def show(n: Any) -> str:
    """Return a count as text; formulas are shown as they are."""
    if not isinstance(n, int):
        return str(n)
    return f"{n:,}" if abs(n) < LONGEST else f"{Decimal(n):.6e}"


def change(a: Any, b: Any) -> str:
    """Return the change of a count; an empty string if it is not a number, or the same."""
    if not (isinstance(a, int) and isinstance(b, int)) or a == b:
        return ""
    return f"{'+' if b > a else ''}{show(b - a)}"


def percent(a: Any, b: Any) -> str:
    """Return the change in percent of ``a``; an empty string if there is no such number."""
    if not change(a, b) or a == 0:
        return ""
    grown = Decimal(b - a) / a * 100
    if abs(grown) < 1000:
        return f"{grown:+.1f} %"
    return f"{grown:+,.0f} %" if abs(grown) < 10**9 else f"{grown:+.1e} %"


# ------------------------------------------------------------------------------------------- text


def _title(mark: str, net: Net) -> list[Line]:
    inputs = ", ".join(f"{name} {net.graph.stage(name).shape}" for name in net.graph.inputs)
    details = [net.source.name] if net.source.name != net.name else []
    details += [f"{key}={value}" for key, value in net.settings.items()]
    more = f" ({', '.join(details)})" if details else ""
    return text_lines(f"{mark} {net.name}: {inputs}{more}", "removed" if mark == "-" else "added")


def _alike(pairs: list[Pair]) -> str:
    labels = [" = ".join(dict.fromkeys(str(label) for label in pair.labels)) for pair in pairs]
    if len(labels) > LABELS_AT_MOST:
        labels = [*labels[: LABELS_AT_MOST - 2], "...", labels[-1]]
    says = f"{counted(len(pairs), 'row')} {'is' if len(pairs) == 1 else 'are'} alike"
    renamed = sum(len(set(pair.labels)) == 2 for pair in pairs)
    renames = f", {renamed:,} of them renamed" if renamed else ""
    return f"{says}{renames}: {', '.join(labels)}"


def _details(difference: Diff, pair: Pair) -> Iterator[str]:
    """Yield the differences in a row that have no column."""
    changes = pair.changes
    if set(changes) == {"input"}:  # otherwise the row before reports the same
        yield f"input {pair_of(map(_sizes, changes['input']))}"
    if "from" in changes:
        yield f"reads {names_of(changes['from'])}"
    if "head" in changes:
        yield f"head {pair_of(name or 'none' for name in changes['head'])}"
    if "weight" in changes:
        yield f"weight {pair_of(changes['weight'])}"
    stages = changes.get("stages", [])
    yield from (_stage(difference, pair, stage) for stage in stages[:STAGES_AT_MOST])
    if len(stages) > STAGES_AT_MOST:
        yield f"and {counted(len(stages) - STAGES_AT_MOST, 'stage')} more; --json lists them"


def _stage(difference: Diff, pair: Pair, stage: dict[str, Any]) -> str:
    is_added = stage["a"] is None
    net = difference.b if is_added else difference.a
    node = net.graph.stage(stage["b"] if is_added else stage["a"])
    name = node.name.removeprefix(f"{pair.labels[is_added]}").removeprefix(".") or node.op.name
    if is_added or stage["b"] is None:
        return f"{'+' if is_added else '-'} {name}"
    changes = (
        f"{key} {names_of(both) if key == 'from' else pair_of(both)}"
        for key, both in stage["changes"].items()
    )
    return f"{name}: {'; '.join(changes)}"


def _sizes(value: list[Any]) -> str:
    sizes = value if isinstance(value[0], list) else [value]
    return ", ".join(str(Shape(size)) for size in sizes)


# ------------------------------------------------------------------------------------------ cells


def _rows(difference: Diff) -> Iterator[_Part]:
    for is_alike, pairs in groupby(difference.rows, key=lambda pair: pair.is_alike):
        if is_alike:
            yield _Part("=", (_alike(list(pairs)),))
            continue
        for pair in pairs:
            if pair.a is None:
                yield _Part("+", _cells(pair.b), "added")
            elif pair.b is None:
                yield _Part("-", _cells(pair.a), "removed")
            else:
                yield from _changed(pair)
                yield from (_Part("", (text,), "changed") for text in _details(difference, pair))


def _cells(row: dict[str, Any] | None) -> Cells:
    assert row is not None
    return (
        row["label"],
        " ".join([*row["words"], *["(head)"] * bool(row["head"])]),
        (row["kernel"] or "").replace("; ", "\n"),
        str(Shape(row["output"])),
        *("" if row[count] == 0 else show(row[count]) for count in COUNTS),
    )


def _changed(pair: Pair) -> Iterator[_Part]:
    a, b = pair.a, pair.b
    assert a is not None
    assert b is not None
    if "ops" in pair.changes and a["words"] == b["words"]:  # blocks of one name
        a, b = a | {"words": a["ops"]}, b | {"words": b["ops"]}
    is_new = (
        a["label"] != b["label"],
        *(name in pair.changes for name in ("ops", "kernel", "output", *COUNTS)),
    )
    cells = zip(_cells(b), ("", "", "none", "", "0", "0"), is_new, strict=True)
    yield _Part("~", _cells(a))
    yield from _below(
        tuple((cell or nothing) if new else "" for cell, nothing, new in cells),
        (*("",) * 4, *(percent(a[count], b[count]) for count in COUNTS)),
    )


def _totals(difference: Diff) -> Iterator[_Part]:
    sums = [("", difference.totals)]
    if difference.a.graph.heads or difference.b.graph.heads:
        sums.append(("with heads", difference.totals["with_heads"]))
    blank = ("", "", "", "")
    for name, totals in sums:
        counts = [totals[count] for count in COUNTS]
        mark = "=" if all(a == b for a, b in counts) else "~"
        yield _Part(mark, ("total", name, "", "", *(show(a) for a, _ in counts)), "heading")
        yield from _below(
            (*blank, *("" if a == b else show(b) for a, b in counts)),
            (*blank, *(change(a, b) for a, b in counts)),
            (*blank, *(percent(a, b) for a, b in counts)),
        )


def _below(*rows: Cells) -> Iterator[_Part]:
    """Yield the values of ``b`` and the changes, without empty lines."""
    return (_Part("", cells, "changed") for cells in rows if any(cells))


# ----------------------------------------------------------------------------------------- layout


def _aligned(body: list[_Part], totals: list[_Part]) -> Iterator[Line]:
    heading = _Part("", COLUMNS, "heading")
    widths = _widths([p.cells for p in (heading, *body, *totals) if len(p.cells) > 1])
    yield from _laid_out(heading, widths)
    yield Line("─" * (sum(widths) + 2 * len(widths)))
    for part in body:
        yield from _laid_out(part, widths)
    yield Line("")
    for part in totals:
        yield from _laid_out(part, widths)


def _widths(rows: list[Cells]) -> list[int]:
    """Return widths that fit the cells; columns of words shrink until the table fits."""
    columns = [
        [line for cell in cells for line in cell.split("\n")] for cells in zip(*rows, strict=True)
    ]
    widths = [max(map(cells_wide, column)) for column in columns]
    for i in (COLUMNS.index(name) for name in NUMBERS):
        widths[i] = min(widths[i], WIDEST_NUMBER)
    words = [i for i, name in enumerate(COLUMNS) if name not in NUMBERS]
    for _ in range(sum(widths) + 2 * len(widths) - WIDTH):
        widths[max(words, key=widths.__getitem__)] -= 1
    return widths


def _laid_out(part: _Part, widths: list[int]) -> Iterator[Line]:
    if len(part.cells) == 1:
        indent = 0 if part.mark else 2 + min(widths[0], 10) + 2
        yield from text_lines(f"{part.mark} {part.cells[0]}".strip(), part.role, indent)
        return
    pieces = (
        [piece for line in cell.split("\n") for piece in wrapped(line, width)]
        for cell, width in zip(part.cells, widths, strict=True)
    )
    for i, cells in enumerate(zip_longest(*pieces, fillvalue="")):
        padded = (
            f"{cell:>{width}}" if column in NUMBERS else f"{cell:<{width}}"
            for column, cell, width in zip(COLUMNS, cells, widths, strict=True)
        )
        yield Line(f"{'' if i else part.mark:<2}{'  '.join(padded)}".rstrip(), part.role)

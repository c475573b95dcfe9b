"""Tables drawn with ``X`` and ``.``: connections between maps, and codes of classes."""

from __future__ import annotations

from itertools import chain

from netspec.ir.values import Codes, Table
from netspec.ir.words import counted
from netspec.language import syntax
from netspec.language.expressions import shape
from netspec.language.scope import Reported, Scope, Unknown

Drawn = syntax.Connect | syntax.Codes


def drawn(statement: Drawn, scope: Scope) -> Table | Codes | Unknown:
    """Return the value of a drawn table, or Unknown after reporting a mistake in it."""
    try:
        if isinstance(statement, syntax.Codes):
            return _codes(statement, scope)
        return _table(statement, scope)
    except Reported:
        return Unknown()


def _table(statement: syntax.Connect, scope: Scope) -> Table:
    lines = ["".join(part.text for part in line) for line in statement.lines]
    width = len(lines[0])
    for line, parts in zip(lines, statement.lines, strict=True):
        if len(line) != width:
            message = f"this line has {len(line)} places, and the first has {width}"
            help = "a line is an input map, a place in it an output map: X connects the two"
            at = (parts[0].at[0], parts[-1].at[1])
            raise scope.problem("NS143", message, at, help=help)
    rows = tuple(tuple(mark == "X" for mark in line) for line in lines)
    empty = next((o for o in range(width) if not any(row[o] for row in rows)), None)
    if empty is not None:
        message = f"output map {empty + 1} of `{statement.name.text}` is connected to nothing"
        help = "give each column at least one X"
        raise scope.problem("NS143", message, statement.at, help=help)
    return Table(statement.name.text, rows)


def _codes(statement: syntax.Codes, scope: Scope) -> Codes:
    size = shape(syntax.Size((statement.size,), statement.size.at), scope)
    if len(size) != 2:
        help = "write the height and width of a pattern: codes digits 12x7"
        raise scope.problem(
            "NS143", "a pattern has a height and a width", statement.size.at, help=help
        )
    height, width = size
    if len(statement.lines) % height:
        message = (
            f"{len(statement.lines)} lines are not a multiple of {height}, the height of a pattern"
        )
        help = "draw patterns of the same height side by side, and more of them below"
        raise scope.problem("NS143", message, statement.at, help=help)
    pictures: list[tuple[int, ...]] = []
    for start in range(0, len(statement.lines), height):
        band = statement.lines[start : start + height]
        for line in band:
            wrong = next((part for part in line if len(part.text) != width), None)
            if wrong is not None or len(line) != len(band[0]):
                at = wrong.at if wrong else (line[0].at[0], line[-1].at[1])
                has = f"{len(wrong.text)} places" if wrong else counted(len(line), "pattern")
                wants = f"{width}" if wrong else f"{len(band[0])} as the line above"
                help = f"each line of a pattern has {width} places; a space separates patterns"
                raise scope.problem("NS143", f"this has {has}, not {wants}", at, help=help)
        for column in zip(*band, strict=True):
            text = chain.from_iterable(part.text for part in column)
            pictures.append(tuple(1 if mark == "X" else -1 for mark in text))
    return Codes(statement.name.text, height, width, tuple(pictures))

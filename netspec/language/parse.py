"""Text to syntax tree.

The text is cut into statements, and the grammar parses each statement alone.  A statement that does
not parse is reported and skipped, so one run finds the mistakes of all statements.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, cast

from lark import Lark, UnexpectedInput

from netspec.ir.source import Source, Span
from netspec.language import syntax
from netspec.language.build import Builder
from netspec.language.diagnostics import Problems, SpecError
from netspec.language.limits import MAX_DEPTH, MAX_STAGES
from netspec.language.repair import repair
from netspec.language.syntax_errors import describe
from netspec.language.tables import parser_for

_PIECE = re.compile(
    r'(?P<string>"[^"\r\n]*"?)|(?P<comment>\#[^\r\n]*)|(?P<open>[{(\[])|(?P<close>[})\]])'
    r"|(?P<end>[;\r\n](?:[;\s]|\#[^\r\n]*)*)|(?P<stage>[:|])|(?P<item>,)"
)
_CLOSES = {"}": "{", ")": "(", "]": "["}
_LABEL = re.compile(r'\w+|"[^"\r\n]*"')
_HEADER = re.compile(r"net\b")
_BLANK = re.compile(r"(?:[;\s]|#[^\r\n]*)*")
_DEFINITION = re.compile(
    r"\s*(?P<keyword>net|import|default|columns|let|block|connect|codes|input|head|drop|output|claim"
    r"|train|document|prepare(?=[ \t]+[A-Za-z])|classes(?=[ \t]*\"))(?!\w)\s*(?P<name>\w+)?"
    r"|\s*(?P<first>\w+|\"[^\"\r\n]*\")(?:\s*\.\.\s*(?P<last>\w+))?(?:[^:\"]|\"[^\"\r\n]*\")*:"
)


def parse(source: Source, problems: Problems, base: int = 0) -> syntax.Tree:
    """Return the syntax tree of a source whose first offset is ``base``.

    Statements that do not parse are reported to ``problems``.
    """
    statements = []
    for piece in _cut(source, problems):
        parsed = None
        if not piece.broken:
            parsed = _parse_piece(source, piece, "statement", problems, base)
        statements.append(parsed or _broken(source, piece, base))
    return syntax.Tree(source, tuple(statements), (base, base))


def parse_value(source: Source, problems: Problems, base: int) -> syntax.Expression | None:
    """Return the syntax tree of a single value, as given to ``--set``; None if it is wrong."""
    piece = _Piece(0, len(source.text), broken=False)
    value: syntax.Expression | None = _parse_piece(source, piece, "value", problems, base)
    return value


# ------------------------------------------------------------------------ cutting into statements


class _Piece(NamedTuple):
    start: int
    end: int
    broken: bool


def _cut(source: Source, problems: Problems) -> Iterator[_Piece]:
    """Yield the places of the statements; report brackets, strings and limits."""
    text = source.text
    opened: list[tuple[str, int]] = []
    variant: int | None = None
    start = _after(text, 0)
    stages = items = 0
    broken = False

    def report(code: str, message: str, offset: int, help: str) -> None:
        nonlocal broken
        broken = True
        problems.add(code, message, Span(source, offset, offset + 1), help=help)

    for match in _PIECE.finditer(text, start):
        kind, at = match.lastgroup, match.start()
        if kind == "open" and not opened and _HEADER.match(text, start, at) and match[0] == "{":
            yield _Piece(start, at, broken)
            start, broken, variant = _after(text, match.end()), False, at
        elif kind == "close" and not opened and variant is not None and match[0] == "}":
            if text[start:at].strip():
                yield _Piece(start, at, broken)
            start, broken, variant = _after(text, match.end()), False, None
        elif kind == "open":
            opened.append((match[0], at))
            if len(opened) > MAX_DEPTH:
                report("NS006", f"brackets nest more than {MAX_DEPTH} deep", at, _FLATTEN)
                raise SpecError(problems.diagnostics)
        elif kind == "close":
            if opened and _CLOSES[match[0]] == opened[-1][0]:
                opened.pop()
            else:
                report("NS102", f"this `{match[0]}` closes nothing", at, _BALANCE)
        elif kind == "string" and not (len(match[0]) > 1 and match[0].endswith('"')):
            report("NS103", "this text is never closed", at, 'end it with `"` on the same line')
        elif kind == "end":
            while opened and opened[-1][0] == "(":
                report("NS102", "this `(` is never closed", opened.pop()[1], _CLOSE_ON_LINE)
            if not opened:
                if match.start() > start:
                    yield _Piece(start, match.start(), broken)
                start, broken = match.end(), False
        stages += kind == "stage" or (kind in ("end", "open") and bool(opened))
        items += kind == "item"
        if stages > MAX_STAGES or items > 2 * MAX_STAGES:
            excess = "stages" if stages > MAX_STAGES else "arguments"
            report("NS005", f"the file has too many {excess}", at, _TOO_MANY)
            raise SpecError(problems.diagnostics)
    if variant is not None:
        opened.insert(0, ("{", variant))
    for bracket, at in opened:
        report("NS102", f"this `{bracket}` is never closed", at, _BALANCE)
    if text[start:].strip():
        yield _Piece(start, len(text), broken)


def _after(text: str, end: int) -> int:
    """Return the offset where the next statement may begin."""
    return _BLANK.match(text, end).end()  # type: ignore[union-attr]


_FLATTEN = "give the inner part a name with `block`, and call it"
_BALANCE = "every `{` needs a `}`, and every `(` a `)`"
_CLOSE_ON_LINE = "close it on the same line with `)`"
_TOO_MANY = f"a net has at most {MAX_STAGES:,} stages: describe it by fewer, parametrised blocks"


def _broken(source: Source, piece: _Piece, base: int) -> syntax.Broken:
    """Return a statement that does not parse, with the names that it seems to define."""
    at = (base + piece.start, base + piece.end)
    text, end = source.text, min(piece.end, piece.start + 1000)
    match = _DEFINITION.match(text, piece.start, end)
    if match is None:
        return syntax.Broken("", (), at)
    keyword = match["keyword"] or "row"
    groups = ("name",) if match["keyword"] else ("first", "last")
    places = [match.span(g) for g in groups if match[g]]
    if keyword == "drop":
        places = [word.span() for word in _LABEL.finditer(text, match.end("keyword"), end)]
    elif keyword == "input" and match["name"] and match["name"][0].isdigit():
        places = []  # a size without a name
    names = tuple(
        syntax.Name(text[start:end].strip('"'), (base + start, base + end)) for start, end in places
    )
    return syntax.Broken(keyword, names, at)


# ----------------------------------------------------------------------------- parsing a statement


def _parse_piece(source: Source, piece: _Piece, start: str, problems: Problems, base: int) -> Any:
    parser, builder, lock = _parser()
    text = source.text[piece.start : piece.end]
    with lock:
        builder.offset = base + piece.start
        try:
            return parser.parse(text, start=start)
        except UnexpectedInput as error:
            unexpected = error
    offset, length, message, help = describe(parser, text, unexpected)
    repaired = repair(text, _statement_or_none) if start == "statement" else None
    message, help = repaired or (message, help)
    begin = min(piece.start + offset, piece.end)
    span = Span(source, begin, min(begin + length, piece.end))
    problems.add("NS101", message, span, help=help)
    return None


def _statement_or_none(text: str) -> syntax.Statement | None:
    """Return the syntax tree of a text as if it were a whole file, or None."""
    parser, builder, lock = _parser()
    with lock:
        builder.offset = 0
        try:
            # the builder makes statements of Lark's trees, which its types do not say
            statement: Any = parser.parse(text, start="statement")
        except UnexpectedInput:
            return None
    return cast(syntax.Statement, statement)


@cache
def _parser() -> tuple[Lark, Builder, threading.Lock]:
    """Return the parser, its builder, and a lock: Lark's parser may be used by one thread only."""
    builder = Builder()
    return parser_for(builder), builder, threading.Lock()

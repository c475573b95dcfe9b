"""Text to syntax tree.

The text is cut into statements, each is parsed by the grammar, and what does not parse is reported
and left out, so that one run finds the mistakes of every statement.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from lark import Lark, Token, Transformer, UnexpectedInput

from netspec.language import syntax
from netspec.language.diagnostics import Problems, SpecError
from netspec.language.limits import MAX_DEPTH, MAX_STAGES
from netspec.language.source import Source, Span
from netspec.language.syntax import At
from netspec.language.syntax_errors import describe

GRAMMAR = Path(__file__).parent.parent / "grammars" / "netspec.lark"

_PIECE = re.compile(
    r'(?P<string>"[^"\r\n]*"?)|(?P<comment>\#[^\r\n]*)|(?P<open>[{(])|(?P<close>[})])'
    r"|(?P<end>[;\r\n](?:[;\s]|\#[^\r\n]*)*)|(?P<stage>[:|])|(?P<item>,)"
)
_BLANK = re.compile(r"(?:[;\s]|#[^\r\n]*)*")
_DEFINITION = re.compile(
    r"\s*(?P<keyword>net|block|let|input|head|default|output|claim)\b\s*(?P<name>\w+)?"
    r"|\s*(?P<first>\w+)(?:\s*\.\.\s*(?P<last>\w+))?[^:\"]*:"
)


def parse(source: Source, problems: Problems) -> syntax.Tree:
    """The syntax tree of a source; what does not parse goes to ``problems``."""
    statements = []
    for piece in _cut(source, problems):
        statement = None if piece.broken else _parse_piece(source, piece, "statement", problems)
        statements.append(statement or _broken(source, piece))
    return syntax.Tree(source, tuple(statements))


def parse_value(source: Source, problems: Problems) -> syntax.Expression | None:
    """A single value, as given to ``--set``."""
    piece = _Piece(0, len(source.text), broken=False)
    value: syntax.Expression | None = _parse_piece(source, piece, "value", problems)
    return value


# ------------------------------------------------------------------------ cutting into statements


class _Piece(NamedTuple):
    start: int
    end: int
    broken: bool


def _cut(source: Source, problems: Problems) -> Iterator[_Piece]:
    """Yield the statements; brackets, strings and limits are checked on the way."""
    text = source.text
    opened: list[tuple[str, int]] = []
    start = _BLANK.match(text).end()  # type: ignore[union-attr]
    stages = items = 0
    broken = False

    def report(code: str, message: str, offset: int, help: str) -> None:
        nonlocal broken
        broken = True
        problems.add(code, message, Span(source, offset, offset + 1), help=help)

    for match in _PIECE.finditer(text, start):
        kind, at = match.lastgroup, match.start()
        if kind == "open":
            opened.append((match[0], at))
            if len(opened) > MAX_DEPTH:
                report("NS006", f"brackets nest more than {MAX_DEPTH} deep", at, _FLATTEN)
                raise SpecError(problems.found)
        elif kind == "close":
            if opened and (opened[-1][0] == "{") == (match[0] == "}"):
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
            what = "stages" if stages > MAX_STAGES else "arguments"
            report("NS005", f"the file has too many {what}", at, _TOO_MANY)
            raise SpecError(problems.found)
    for bracket, at in opened:
        report("NS102", f"this `{bracket}` is never closed", at, _BALANCE)
    if text[start:].strip():
        yield _Piece(start, len(text), broken)


_FLATTEN = "give the inner part a name with `block`, and call it"
_BALANCE = "every `{` needs a `}`, every `(` a `)`"
_CLOSE_ON_LINE = "close it on the same line with `)`"
_TOO_MANY = f"a net has at most {MAX_STAGES:,} stages: describe it by fewer, parametrised blocks"


def _broken(source: Source, piece: _Piece) -> syntax.Broken:
    """What a statement that does not parse would have defined, as far as its beginning tells."""
    at = (piece.start, piece.end)
    match = _DEFINITION.match(source.text, piece.start, min(piece.end, piece.start + 1000))
    if match is None:
        return syntax.Broken("", (), at)
    groups = ("name",) if match["keyword"] else ("first", "last")
    names = tuple(syntax.Name(match[g], match.span(g)) for g in groups if match[g])
    return syntax.Broken(match["keyword"] or "row", names, at)


# ----------------------------------------------------------------------------- parsing a statement


def _parse_piece(source: Source, piece: _Piece, start: str, problems: Problems) -> Any:
    parser, builder, lock = _parser()
    text = source.text[piece.start : piece.end]
    with lock:
        builder.base = piece.start
        try:
            return parser.parse(text, start=start)
        except UnexpectedInput as error:
            unexpected = error
    offset, length, message, help = describe(parser, text, unexpected)
    begin = min(piece.start + offset, piece.end)
    span = Span(source, begin, min(begin + length, piece.end))
    problems.add("NS101", message, span, help=help)
    return None


@cache
def _parser() -> tuple[Lark, _Builder, threading.Lock]:
    """The parser, built once a process, and used by one thread at a time."""
    builder = _Builder()
    parser = Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start=["statement", "value"],
        maybe_placeholders=True,
        transformer=builder,
    )
    return parser, builder, threading.Lock()


class _Builder(Transformer[Token, Any]):
    """Turns each reduction of the parser into a node of the syntax tree.

    Lark calls a method with the children of the rule that has its name.  ``base`` is where the
    statement begins in its source.
    """

    base = 0

    def _at(self, token: Token) -> At:
        start, end = token.start_pos, token.end_pos
        assert start is not None
        assert end is not None
        return self.base + start, self.base + end

    def _name(self, token: Token) -> syntax.Name:
        return syntax.Name(str(token), self._at(token))

    # expressions

    def number(self, c: list[Token]) -> syntax.Number:
        return syntax.Number(str(c[0]), self._at(c[0]))

    def name(self, c: list[Token]) -> syntax.Name:
        return self._name(c[0])

    def kernel(self, c: list[Token]) -> syntax.KernelLiteral:
        return syntax.KernelLiteral(str(c[0]), self._at(c[0]))

    def tuple_(self, c: list[Any]) -> syntax.Tuple:
        return syntax.Tuple(tuple(c), _around(c))

    def sum(self, c: list[Any]) -> syntax.Operation:
        pairs = tuple((str(c[i]), c[i + 1]) for i in range(1, len(c), 2))
        return syntax.Operation(c[0], pairs, _around(c))

    term = sum

    def power(self, c: list[Any]) -> syntax.Power:
        return syntax.Power(tuple(c), _around(c))

    def factor(self, c: list[Any]) -> syntax.Signed:
        *signs, operand = c
        sign = "-" if signs.count("-") % 2 else "+"
        return syntax.Signed(sign, operand, (self._at(signs[0])[0], operand.at[1]))

    exponent = factor

    def comparison(self, c: list[Any]) -> syntax.Comparison:
        return syntax.Comparison(c[0], str(c[1]), c[2], _around(c))

    def negation(self, c: list[Any]) -> Any:
        *nots, operand = c
        if len(nots) % 2 == 0:
            return syntax.Logical("and", (operand,), operand.at)
        return syntax.Logical("not", (operand,), (self._at(nots[0])[0], operand.at[1]))

    def conjunction(self, c: list[Any]) -> syntax.Logical:
        return syntax.Logical("and", tuple(c), _around(c))

    def expression(self, c: list[Any]) -> syntax.Logical:
        return syntax.Logical("or", tuple(c), _around(c))

    # rows

    def keyword(self, c: list[Any]) -> syntax.Argument:
        key = self._name(c[0])
        return syntax.Argument(key, c[1], (key.at[0], c[1].at[1]))

    def arguments(self, c: list[Any]) -> list[syntax.Argument]:
        return [a if isinstance(a, syntax.Argument) else syntax.Argument(None, a, a.at) for a in c]

    def branches(self, c: list[Any]) -> list[syntax.Pipe]:
        return c

    def stage(self, c: list[Any]) -> syntax.Stage:
        name, arguments, branches, condition = self._name(c[0]), c[1] or [], c[2], c[3]
        end = arguments[-1].at[1] if arguments else name.at[1]
        held = None if branches is None else tuple(branches)
        return syntax.Stage(name, tuple(arguments), held, condition, (name.at[0], end))

    def pipe(self, c: list[Any]) -> syntax.Pipe:
        return syntax.Pipe(tuple(c), _around(c))

    def size(self, c: list[Any]) -> syntax.Size:
        dims = [syntax.KernelLiteral(str(d), self._at(d)) if isinstance(d, Token) else d for d in c]
        return syntax.Size(tuple(dims), _around(dims))

    def measure(self, c: list[Any]) -> syntax.Measure:
        return syntax.Measure(str(c[0]), c[1], (self._at(c[0])[0], c[1].at[1]))

    def claims(self, c: list[Any]) -> syntax.Claims:
        size = c[0] if isinstance(c[0], syntax.Size) else None
        return syntax.Claims(size, tuple(m for m in c if isinstance(m, syntax.Measure)))

    def label(self, c: list[Token]) -> syntax.Name:
        return self._name(c[0])

    def labels(self, c: list[Any]) -> list[Any]:
        return c

    def sources(self, c: list[Any]) -> list[Any]:
        return c

    def row(self, c: list[Any]) -> syntax.Row:
        (first, last), sources, pipe, claims = c
        at = (first.at[0], (last or first).at[1])
        return syntax.Row(first, last, tuple(sources or ()), pipe, claims or _NO_CLAIMS, at)

    def head(self, c: list[Any]) -> syntax.Head:
        name, source, *arguments, pipe, claims = c
        held = tuple(a for a in arguments if a is not None)
        return syntax.Head(name, source, held, pipe, claims or _NO_CLAIMS, name.at)

    # statements

    def parameter(self, c: list[Any]) -> syntax.Parameter:
        return syntax.Parameter(self._name(c[0]), c[1])

    def parameters(self, c: list[Any]) -> list[Any]:
        return [p for p in c if p is not None]

    def net(self, c: list[Any]) -> syntax.Net:
        name = self._name(c[0])
        title = str(c[2])[1:-1] if c[2] else ""
        return syntax.Net(name, tuple(c[1] or ()), title, name.at)

    def default(self, c: list[Any]) -> syntax.Default:
        operator = self._name(c[0]) if c[0] else None
        return syntax.Default(operator, tuple(c[1:]), _around(c[1:]))

    def let(self, c: list[Any]) -> syntax.Let:
        name = self._name(c[0])
        return syntax.Let(name, c[1], name.at)

    def rows(self, c: list[Any]) -> tuple[syntax.Inner, ...]:
        return tuple(c)

    def block(self, c: list[Any]) -> syntax.Block:
        name = self._name(c[0])
        return syntax.Block(name, tuple(c[1] or ()), c[2], name.at)

    def input(self, c: list[Any]) -> syntax.Input:
        name = self._name(c[0])
        return syntax.Input(name, c[1], name.at)

    def output(self, c: list[Any]) -> syntax.Output:
        return syntax.Output(tuple(c), _around(c))

    def claim(self, c: list[Any]) -> syntax.Claim:
        return syntax.Claim(tuple(c), _around(c))


_NO_CLAIMS = syntax.Claims(None, ())


def _around(nodes: list[Any]) -> At:
    return nodes[0].at[0], nodes[-1].at[1]

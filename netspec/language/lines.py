"""Cut the text of a spec into lines of tokens, with normal spacing.

Tokens are not joined, split or moved, and no line end is removed.  A missing line end is added
after a brace that is open at the end of its line, and before its closing brace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(
    r'(?P<string>"[^"\r\n]*")|(?P<comment>\#[^\r\n]*)|(?P<end>\r\n?|\n)|(?P<space>[^\S\r\n]+)'
    r"|(?P<mark>->|[|,:;{}()]|=(?!=))"
    r'|(?P<word>(?:[=!<>]=|-(?!>)|[^\s"\#|,:;{}()=-])+)'
)


class Token(NamedTuple):
    """A string, or a piece of text without space in it.

    Attributes:
        kind: ``word``, ``string``, a mark such as ``|``; ``define`` for the `=` of a definition;
            ``open`` and ``close`` for the parentheses after the name of a net or block; ``place``
            for a part of a drawing.
        text: the text.
        is_apart: True if there is space before it.
    """

    kind: str
    text: str
    is_apart: bool


@dataclass
class Line:
    """Tokens and a comment; ``holds`` is the kind of content of the braces around the line."""

    depth: int = 0
    holds: str = "statements"
    tokens: list[Token] = field(default_factory=list)
    comment: str = ""
    is_after_blank: bool = False

    @property
    def opens(self) -> bool:
        """Return True if the line ends with a brace that stays open."""
        return bool(self.tokens) and self.tokens[-1].kind == "{"

    @property
    def closes(self) -> bool:
        """Return True if the line begins with the brace that closes lines above."""
        return bool(self.tokens) and self.tokens[0].kind == "}"


def lines(text: str) -> list[Line]:
    """Return the lines of a valid spec, without blank lines."""
    tokens = list(_tokens(text))
    spread = _spread(tokens)
    cutter = _Cutter()
    for i, token in enumerate(tokens):
        cutter.add(token, is_spread=i in spread)
    cutter.end_line()
    return cutter.lines


def joined(tokens: Iterable[Token]) -> str:
    """Return tokens as text, with normal spacing."""
    parts: list[str] = []
    left: Token | None = None
    for token in tokens:
        if left is not None and _is_apart(left, token):
            parts.append(" ")
        parts.append(token.text)
        left = token
    return "".join(parts)


_NO_SPACE_BEHIND = {"(", "open", "="}
_NO_SPACE_BEFORE = {")", "open", "close", "=", ",", ":", ";"}
_SPACE_AROUND = {"|", "->", "{", "}", "string", "define"}
_SPACE_BEHIND = {*_SPACE_AROUND, "close", ",", ":", ";"}


def _is_apart(left: Token, right: Token) -> bool:
    if left.kind in _NO_SPACE_BEHIND or right.kind in _NO_SPACE_BEFORE:
        return False
    if left.kind == "string" and right.text[:1] == ".":  # a part of a row: "conv1/7x7".params
        return False
    if left.kind in _SPACE_BEHIND or right.kind in _SPACE_AROUND:
        return True
    if left.kind == right.kind == "word" and (left.text[-2:] == ".." or right.text[:2] == ".."):
        return False
    return right.is_apart


def _tokens(text: str) -> Iterator[Token]:
    is_apart = False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "space":
            yield Token(match[0] if kind == "mark" else kind, match[0], is_apart)
        is_apart = kind == "space"


def _spread(tokens: list[Token]) -> set[int]:
    """Return the indices of the braces that do not close on the line that they open on."""
    spread: set[int] = set()
    opened: list[int] = []
    for i, token in enumerate(tokens):
        if token.kind == "{":
            opened.append(i)
        elif token.kind == "end" and opened:
            spread.add(opened[-1])
        elif token.kind == "}" and opened:
            start = opened.pop()
            if start in spread:
                spread.update([i, *opened[-1:]])
    return spread


@dataclass
class _Statement:
    """The tokens seen so far of a statement, or of an item within braces."""

    tokens: int = 0
    first: str = ""
    parentheses: int = 0
    is_row: bool = False
    is_header: bool = False
    is_defined: bool = False


_HOLDS = {
    "net": "statements",
    "train": "directives",
    "document": "entries",
    "connect": "drawing",
    "codes": "drawing",
}


class _Cutter:
    """Takes tokens in order, and assigns each its kind and its line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._line = Line()
        self._is_full = False
        self._is_after_blank = False
        self._depth = 0
        self._statement = _Statement()
        self._around: list[tuple[str, _Statement]] = []

    def add(self, token: Token, *, is_spread: bool) -> None:
        """Append a token."""
        if token.kind == "end":
            if not self._line.tokens and not self._line.comment:
                self._is_after_blank = True
            self.end_line()
            self._statement = _Statement()
        elif token.kind == "comment":
            self._begin_line()
            self._line.comment = token.text.rstrip()
        else:
            if self._is_full and (token.kind != ";" or self._line.opens):
                self.end_line()
            if token.kind == "}" and is_spread:
                self.end_line()
                self._depth -= 1
            content = ""
            if token.kind == "}":
                content, self._statement = self._around.pop()
            self._begin_line()
            token = token._replace(kind=self._kind(token))
            self._line.tokens.append(token)
            self._follow(token)
            if token.kind == "{" and is_spread:
                self._depth += 1
                self._is_full = True
            if content == "statements" and self._statement.first == "net":
                self._is_full = True  # a variant ends with its brace
                self._statement = _Statement()

    def end_line(self) -> None:
        """End the line, if there is anything on it."""
        line = self._line
        if line.tokens or line.comment:
            is_edge = not self.lines or self.lines[-1].opens or line.closes
            line.is_after_blank = self._is_after_blank and not is_edge
            self._is_after_blank = False
            self.lines.append(line)
            self._line = Line()
        self._is_full = False

    def _begin_line(self) -> None:
        if not self._line.tokens:
            self._line.depth, self._line.holds = self._depth, self._holds

    @property
    def _holds(self) -> str:
        return self._around[-1][0] if self._around else "statements"

    def _kind(self, token: Token) -> str:
        statement = self._statement
        is_definition = statement.first in ("let", "block") and not statement.is_defined
        if self._holds == "drawing" and token.kind == "word":
            return "place"
        if token.kind == "=" and is_definition and not statement.parentheses:
            return "define"
        if token.kind == "(" and statement.tokens == 2 and statement.first in ("net", "block"):
            return "open"
        if token.kind == ")" and statement.is_header and statement.parentheses == 1:
            return "close"
        return token.kind

    def _follow(self, token: Token) -> None:
        """Update the state for the tokens after this one."""
        statement = self._statement
        if token.kind == "{":
            self._around.append((self._content(), statement))
            self._statement = _Statement()
            return
        if token.kind == ";":
            self._statement = _Statement()
            return
        statement.first = statement.first or token.text
        statement.tokens += 1
        statement.parentheses += (token.text == "(") - (token.text == ")")
        statement.is_header = (
            statement.is_header or token.kind == "open"
        ) and token.kind != "close"
        statement.is_row |= token.kind == ":"
        statement.is_defined |= token.kind == "define"

    def _content(self) -> str:
        """Return the kind of content of the brace that opens next."""
        before = self._line.tokens[-2:-1]
        if self._holds == "pipes" or self._statement.is_row:
            return "pipes"
        if before and before[0].kind == "define":
            return "statements"
        return _HOLDS.get(self._statement.first, "pipes")

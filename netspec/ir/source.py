"""The text of a spec, and places in it."""

from __future__ import annotations

import bisect
import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple


class Source:
    """A named text; converts offsets to lines and columns, both counted from 1."""

    def __init__(self, name: str, text: str, path: Path | None = None) -> None:
        self.name = name
        self.text = text
        self.path = path
        """The file that the text was read from, or None."""

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line_start(self, line: int) -> int:
        return self._line_starts[line - 1]

    def line_text(self, line: int) -> str:
        start = self._line_starts[line - 1]
        end = self._line_starts[line] if line < len(self._line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def __repr__(self) -> str:
        return f"Source({self.name!r})"


class Sources:
    """The files of a net, concatenated to one range of offsets.

    A place in the syntax tree is a pair of such offsets.  So one tree can have statements of the
    net's own file, of the net that it is a variant of, and of the blocks that it imports.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._sources: list[Source] = []

    def add(self, source: Source) -> int:
        """Append a file; return the offset of its beginning."""
        last = self._sources[-1:]
        start = self._starts[-1] + len(last[0].text) + 1 if last else 0
        self._starts.append(start)
        self._sources.append(source)
        return start

    def span(self, at: tuple[int, int]) -> Span:
        """Return the part of a file between two offsets of the concatenation."""
        i = bisect.bisect_right(self._starts, at[0]) - 1
        start = self._starts[i]
        return Span(self._sources[i], at[0] - start, at[1] - start)


class Span(NamedTuple):
    """A part of a source, from offset ``start`` up to but not including ``end``."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]


class Call(NamedTuple):
    """A call of a block that leads to a place: the block, its definition, and the call."""

    block: str
    defined: tuple[int, int]
    span: Span

"""The text of a spec, and places in it."""

from __future__ import annotations

import bisect
import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple


class Source:
    """A named text; turns offsets into lines and columns, both counted from 1."""

    def __init__(self, name: str, text: str, path: Path | None = None) -> None:
        self.name = name
        self.text = text
        self.path = path
        """The file that it was read from, if it was."""

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
    """The files that a net is made of, concatenated in one range of offsets.

    A place in the syntax tree is a pair of such offsets, so a net may mix statements of its own
    file with those of the net it is a variant of, and with blocks that it imports.
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
        """The stretch of a file between two offsets."""
        i = bisect.bisect_right(self._starts, at[0]) - 1
        start = self._starts[i]
        return Span(self._sources[i], at[0] - start, at[1] - start)


class Span(NamedTuple):
    """A stretch of a source, from offset ``start`` up to ``end``."""

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
    """A block's call on the way to a place: which block, where defined, and where called."""

    block: str
    defined: tuple[int, int]
    span: Span

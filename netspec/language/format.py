"""Format a spec: only its whitespace and needless quotes change, not its statements or comments.

1. One space around `|`, `->`, strings, and the `=` of a definition; after `,` `:` `;`; and inside
   braces.  No space in ``key=value`` and inside parentheses.  Elsewhere spaces are not added or
   removed: ``5*5 + 1`` stays as the author wrote it.
2. Braces that are open at the end of a line indent their content by four spaces and close on a
   separate line.  Statements on one line stay on one line.
3. Tables are aligned: rows, their claims, recipes, printed tables.
4. At most one blank line between lines, and none at the start or end of a file or of braces.
5. Comments keep their text.  A comment alone on a line is indented like a statement.  Comments at
   the ends of neighbouring lines start in the same column.
6. A label keeps its quotes only if it needs them.
"""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from netspec.errors import DataError, require_type
from netspec.files.writing import write_named
from netspec.ir.source import Source
from netspec.language import syntax
from netspec.language.alignment import texts, with_comments
from netspec.language.diagnostics import Problems, SpecError
from netspec.language.labels import is_plain
from netspec.language.lines import lines
from netspec.language.parse import parse
from netspec.language.read import NAMED, accept, decode, read
from netspec.language.walk import named

INDENT = 4
S = TypeVar("S", bound=str | Path)


@dataclass(frozen=True, repr=False)
class Formatted:
    """A formatted spec; ``repr`` is its text.

    Attributes:
        text: The formatted text.
        before: The bytes that the text was made of.
        name: The spec as messages name it.
        path: The file that it was read from, or None for a text.
    """

    text: str
    before: bytes
    name: str
    path: Path | None = None

    @property
    def is_changed(self) -> bool:
        """Return True if the spec was not formatted before."""
        return self.before != self.text.encode()

    def diff(self) -> str:
        """Return what changes as a unified diff, which ``patch`` reads; empty if nothing does."""
        return "".join(self._diff())

    def _diff(self) -> Iterator[str]:
        texts = self.before.decode(), self.text
        old, new = (io.StringIO(text, newline="\n").readlines() for text in texts)
        for line in difflib.unified_diff(old, new, self.name, f"{self.name} (formatted)"):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"

    def save(self) -> None:
        """Write the text to the file that it was read from, if it changes.

        Raises:
            ValueError: It was not read from a file.
            DataError: The file cannot be written.
        """
        if self.path is None:
            raise ValueError(f"{self.name} was not read from a file: write its text to one")
        if self.is_changed:
            write_named(self.path, self.text.encode())

    def __repr__(self) -> str:
        return self.text


@overload
def fmt(spec: str | Path, /) -> Formatted: ...
@overload
def fmt(spec: list[S] | tuple[S, ...], /) -> list[Formatted]: ...
def fmt(spec: Any, /) -> Formatted | list[Formatted]:
    """Format a spec: spaces, blank lines, columns of tables, quotes of labels. No file is written.

    ``netspec.fmt("mynet.net").save()`` writes the file in place.

    Args:
        spec: Path, name of a bundled spec, or text of a spec (a string of several lines); a list
            of them gives a list of results.

    Raises:
        SpecError: The spec does not parse or cannot be read.
        DataError: The path is not that of a regular file.
        TypeError: An argument has a wrong type.
    """
    if isinstance(spec, list | tuple):
        return [fmt(one) for one in spec]
    require_type("spec", spec, (str, os.PathLike), f"the text of a spec, {NAMED}")
    if isinstance(spec, str) and ("\n" in spec or "\r" in spec):
        return formatted(spec.encode(), "<text>")
    source = read(spec)
    assert source.path is not None
    if not source.path.is_file():
        raise DataError(f"cannot format {source.path}: it is not a regular file")
    return formatted(source.path.read_bytes(), source.name, source.path)


def formatted(before: bytes, name: str, path: Path | None = None) -> Formatted:
    """Return the formatted form of the bytes of a spec; ``path`` is where they were read from.

    Raises:
        SpecError: They are not text, do not parse, or would be too large for a spec.
    """
    return Formatted(format(decode(name, before, path).text, name), before, name, path)


def format(text: str, name: str = "<text>", /) -> str:
    """Return the formatted text of a spec; ``name`` is its name in messages.

    Raises:
        SpecError: the text does not parse, or would be too large for a spec.
    """
    problems = Problems()
    tree = parse(accept(Source(name, text)), problems)
    if problems.errors:
        raise SpecError(problems.diagnostics)
    cut = lines(_unquoted(text, tree))
    result = ""
    parts: list[str] = []
    for line, shown in zip(cut, with_comments(cut, texts(cut)), strict=True):
        parts += ["\n" * line.is_after_blank, " " * (INDENT * line.depth), shown, "\n"]
    result = "".join(parts)
    return decode(name, result.encode()).text


def _unquoted(text: str, tree: syntax.Tree) -> str:
    """Return the text of a spec without the quotes of labels that do not need them."""
    parts, end = [], 0
    starts = {name.at[0]: name.text.partition(".")[0] for name in named(tree.statements)}
    for start, label in sorted(starts.items()):
        quoted = f'"{label}"'
        if text.startswith(quoted, start) and is_plain(label):
            parts += [text[end:start], label]
            end = start + len(quoted)
    return "".join([*parts, text[end:]])

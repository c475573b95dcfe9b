"""The files of a net: its spec, the bases of the spec, and their imports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from netspec.ir.guess import did_you_mean
from netspec.ir.source import Source, Sources, Span
from netspec.language import syntax
from netspec.language.diagnostics import Note, Problems, SpecError
from netspec.language.limits import MAX_BYTES, MAX_DEPTH
from netspec.language.parse import parse
from netspec.language.read import (
    BUNDLED,
    CLASSES,
    LIST,
    SUFFIX,
    bundled,
    class_lists,
    read,
    read_bundled,
    read_text,
)

Request = syntax.Name | syntax.Text
"""A file that a spec reads: a net by its name, or a file by its path."""

ResolvedFiles = Mapping[tuple[str, str], Source]
"""Files by the name of the reading file, and the name or path that is written in it."""


class Files:
    """The files of a net, each read once; circles are reported.

    Args:
        problems: collects mistakes.
        known: files that are not looked for, such as those of a net that was read before.
    """

    def __init__(self, problems: Problems, known: ResolvedFiles | None = None) -> None:
        self.problems = problems
        self.sources = Sources()
        self.resolved: dict[tuple[str, str], Source] = dict(known or {})
        self._trees: dict[str, syntax.Tree] = {}
        self._open: list[Source] = []
        self._bytes = 0

    def tree(self, source: Source) -> syntax.Tree:
        """Return the syntax tree of a file."""
        key = _key(source)
        if key not in self._trees:
            self._trees[key] = parse(source, self.problems, self.sources.add(source))
        return self._trees[key]

    @contextmanager
    def reading(self, tree: syntax.Tree) -> Iterator[None]:
        """Mark a file as being read: within this context, reading it again is a circle."""
        self._open.append(tree.source)
        try:
            yield
        finally:
            self._open.pop()

    def find(self, request: Request) -> syntax.Tree | None:
        """Return the syntax tree of a file that a spec reads, or None after reporting a mistake."""
        span = self.sources.span(request.at)
        key = (span.source.name, request.text)
        try:
            if key not in self.resolved:
                self.resolved[key] = self._source(request, span)
        except SpecError as error:
            for d in error.diagnostics:
                if d.code == "NS001":
                    self.problems.add(d.code, d.message, span, help=d.help)
                else:
                    asked = Note(f"read from {span.source.name}, line {span.line}", span)
                    self.problems.diagnostics.append(replace(d, notes=(*d.notes, asked)))
            return None
        source = self.resolved[key]
        if any(_key(source) == _key(opened) for opened in self._open):
            circle = " -> ".join(s.name for s in (*self._open, source))
            message = f"`{source.name}` is read in a circle: {circle}"
            help = "put the parts that both need into a third file"
            self.problems.add("NS010", message, span, help=help)
            return None
        if len(self._open) >= MAX_DEPTH:
            message = f"files read each other more than {MAX_DEPTH} deep"
            self.problems.add("NS006", message, span, help="use fewer levels of imports and bases")
            raise SpecError(self.problems.diagnostics)
        if _key(source) not in self._trees:
            self._bytes += len(source.text)
            if self._bytes > MAX_BYTES:
                message = f"the files of this net hold more than {MAX_BYTES // 2**20} MiB together"
                self.problems.add("NS004", message, span, help="import fewer files")
                raise SpecError(self.problems.diagnostics)
        return self.tree(source)

    def class_names(self, request: syntax.Text) -> list[str] | None:
        """Return the class names in a bundled list, or in a file in the folder of the spec.

        Return None after reporting a mistake.
        """
        span = self.sources.span(request.at)
        key = (span.source.name, request.text)
        try:
            if key not in self.resolved:
                self.resolved[key] = self._listed(request, span)
        except SpecError as error:
            for d in error.diagnostics:
                self.problems.add(d.code, d.message, span, help=d.help)
            return None
        names, mistake = names_in(self.resolved[key].text, f"`{request.text}`")
        if mistake is not None:
            message, help = mistake
            self.problems.add("NS156", message, span, help=help)
            return None
        return names

    def _listed(self, request: syntax.Text, span: Span) -> Source:
        """Return the text of a list of class names."""
        if request.text in class_lists():
            return read_text(CLASSES / f"{request.text}{LIST}", f"{request.text}{LIST}")
        if not Path(request.text).suffix:
            known = class_lists()
            guess = did_you_mean(request.text, known)
            message = f"there is no list of classes `{request.text}`"
            help = guess or (
                f"name a list that comes with netspec ({', '.join(known)}), a text file with a "
                'name a line, or each class: classes "cat", "dog"'
            )
            self.problems.add("NS156", message, span, help=help)
            raise SpecError(())
        return self._source(request, span, read_text)

    def _source(
        self, request: Request, span: Span, reader: Callable[[Path, str], Source] = read
    ) -> Source:
        text = request.text
        asking = span.source.path
        folder = asking.resolve().parent if asking else None
        if isinstance(request, syntax.Name):
            text += SUFFIX
            if not _exists(folder, text) and request.text in bundled():
                return read_bundled(request.text)
        if Path(text).is_absolute() or (folder and not _is_inside(folder / text, folder)):
            message = f"`{text}` is outside the folder of `{span.source.name}`"
            help = "a spec reads files in its folder or below it, and bundled specs"
            self.problems.add("NS011", message, span, help=help)
            raise SpecError(())
        if folder is None or not _exists(folder, text):
            name = Path(text).stem
            if Path(text).name == text and name in bundled():
                return read_bundled(name)
            guess = did_you_mean(name, bundled())
            if name in bundled():
                guess = f"the bundled spec is `{name}`, without a folder"
            where = "in this folder" if folder else "among the bundled specs"
            message = f"there is no `{text}` {where}"
            help = guess or "give a path relative to this file, or the name of a bundled spec"
            self.problems.add("NS001", message, span, help=help)
            raise SpecError(())
        shown = os.path.join(os.path.dirname(span.source.name), text)
        return reader(folder / text, shown)


def names_in(text: str, shown: str) -> tuple[list[str], tuple[str, str] | None]:
    """Return the names in a list of classes, and the first mistake in it with a way out."""
    names = [line.strip() for line in text.strip("\r\n").splitlines()]
    if not any(names):
        return names, (f"{shown} has no names of classes", "write one name per line of the file")
    for number, name in enumerate(names, 1):
        first = names.index(name) + 1
        if not name or first < number:
            what = f"repeats the name of line {first}, {name!r}" if name else "is empty"
            help = "write a different name for each output, in the order of the outputs"
            return names, (f"line {number} of {shown} {what}", help)
    return names, None


def _exists(folder: Path | None, name: str) -> bool:
    """Return True if a folder has an entry of this name."""
    try:
        return folder is not None and ((path := folder / name).is_file() or path.is_dir())
    except (OSError, ValueError):  # the name is not possible, such as one that is too long
        return False


def _key(source: Source) -> str:
    return str(source.path.resolve()) if source.path else f"text {source.name}"


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError):
        return False
    return resolved.is_relative_to(folder) or resolved.is_relative_to(BUNDLED.resolve())

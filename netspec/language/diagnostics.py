"""Diagnostics: the problems of a spec, collected, then shown as text or JSON.

A diagnostic has a stable code, a place, a reason, notes on other places, and a help text that says
what to do.  One run reports all problems of a net.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from netspec.ir.guess import did_you_mean
from netspec.ir.source import Call, Source, Span
from netspec.language.limits import MAX_PROBLEMS

Style = Callable[[str, str], str]
"""Returns a text in the style of its role: error, warning, note, help or gutter."""

EXCERPT_COLUMNS = 96
SHOWN_AT_MOST = 50


@dataclass(frozen=True, slots=True)
class Note:
    """A remark of a diagnostic, and the place that it is about, if it has one."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A problem of a spec.

    Attributes:
        code: such as ``NS101``; the handbook has a page for each code.
        message: what is wrong.
        span: the place.
        label: text after the caret.
        notes: remarks, perhaps on other places.
        help: what to do.
        severity: ``error``; ``warning`` if the spec is valid, but probably not as intended; or
            ``note``.
    """

    code: str
    message: str
    span: Span
    label: str = ""
    notes: tuple[Note, ...] = ()
    help: str = ""
    severity: str = "error"

    def as_json(self) -> dict[str, Any]:
        """Return the diagnostic as data for scripts and editors; lines and columns count from 1."""
        source = self.span.source
        line, column = source.position(self.span.start)
        end_line, end_column = source.position(self.span.end)
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message + (f" ({self.label})" if self.label else ""),
            "file": source.name,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "notes": [
                note.message
                if note.span is None or note.span.source is source
                else f"{note.message} ({note.span.source.name}:{note.span.line})"
                for note in self.notes
            ],
            "help": self.help,
        }


def file_of(span: Span, here: Source) -> str:
    """Return `` of FILE`` for a place in another file than ``here``, else an empty text."""
    return "" if span.source is here else f" of {span.source.name}"


class SpecError(Exception):
    """A spec has mistakes; ``diagnostics`` has all of them, sorted by file and place."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = sorted(diagnostics, key=lambda d: (d.span.source.name, d.span.start))
        super().__init__()

    def __str__(self) -> str:
        return render(self.diagnostics)


class SpecWarning(UserWarning):
    """A spec is valid, but has parts that are probably mistakes; ``diagnostics`` has all."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(render(self.diagnostics))


class Problems:
    """The diagnostics of a net while it is read, each once."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._seen: set[tuple[str, str, int, int, str]] = set()

    def add(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str,
        label: str = "",
        notes: Iterable[Note] = (),
    ) -> None:
        """Add an error, unless it is known: a mistake in a block is one, in however many calls.

        Raises:
            SpecError: there are too many problems.
        """
        self._add(Diagnostic(code, message, span, label, tuple(notes), help))
        if len(self.diagnostics) >= MAX_PROBLEMS:
            raise SpecError(self.diagnostics)

    def warn(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str,
        label: str = "",
        notes: Iterable[Note] = (),
    ) -> None:
        """Add a warning, unless there are too many problems."""
        if len(self.diagnostics) < MAX_PROBLEMS - 1:
            self._add(Diagnostic(code, message, span, label, tuple(notes), help, "warning"))

    def _add(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        key = (diagnostic.code, span.source.name, span.start, span.end, diagnostic.message)
        if key not in self._seen:
            self._seen.add(key)
            self.diagnostics.append(diagnostic)

    def did_you_mean(self, word: str, candidates: Iterable[str]) -> str:
        """Return ``did you mean ...?``, or an empty text; only for problems that are shown."""
        return did_you_mean(word, candidates) if len(self.diagnostics) < SHOWN_AT_MOST else ""

    @property
    def errors(self) -> list[Diagnostic]:
        """The problems that are errors, not warnings or notes."""
        return [d for d in self.diagnostics if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        """The problems that are warnings."""
        return [d for d in self.diagnostics if d.severity == "warning"]


def call_notes(calls: tuple[Call, ...]) -> list[Note]:
    """Return one note per call, the innermost first; a long chain is shortened in the middle."""
    shown = list(reversed(calls))
    if len(shown) > 4:
        shown = [*shown[:2], *shown[-2:]]
    return [Note(f"in block `{c.block}`, called on line {c.span.line}", c.span) for c in shown]


def plain(text: str, role: str) -> str:
    """Return a text without colours."""
    return text


def render(diagnostics: Iterable[Diagnostic], style: Style = plain) -> str:
    """Diagnostics as text, the first fifty in full."""
    collected = list(diagnostics)
    texts = [_render_one(d, style) for d in collected[:SHOWN_AT_MOST]]
    if len(collected) > SHOWN_AT_MOST:
        texts.append(f"... and {len(collected) - SHOWN_AT_MOST:,} more problems")
    return "\n\n".join(texts)


def _render_one(diagnostic: Diagnostic, style: Style) -> str:
    span = diagnostic.span
    line, column = span.source.position(span.start)
    spans = [span, *(n.span for n in diagnostic.notes if n.span is not None)]
    width = max(len(str(s.line)) for s in spans)
    head = style(f"{diagnostic.severity}[{diagnostic.code}]", diagnostic.severity)
    position = f"{printable(span.source.name)}:{line}:{column}"
    shown = span.source.name, line
    lines = [f"{head}: {printable(diagnostic.message)}", f"{' ' * width}--> {position}"]
    if span.source.text:
        lines += _excerpt(span, printable(diagnostic.label), width, style, diagnostic.severity)
    for note in diagnostic.notes:
        lines.append(f"{style('note', 'note')}: {printable(note.message)}")
        if note.span is not None and (note.span.source.name, note.span.line) != shown:
            if note.span.source is not span.source:
                line, column = note.span.source.position(note.span.start)
                name = printable(note.span.source.name)
                lines.append(f"{' ' * width}--> {name}:{line}:{column}")
            lines += _excerpt(note.span, "", width, style, "note")
    if diagnostic.help:
        lines.append(f"{style('help', 'help')}: {printable(diagnostic.help)}")
    return "\n".join(lines)


def _excerpt(span: Span, label: str, width: int, style: Style, role: str) -> list[str]:
    """Return the source line with carets under the span; a long line is cut around the span."""
    source: Source = span.source
    number = span.line
    text = source.line_text(number)
    start = span.start - source.line_start(number)
    end = max(start + 1, min(span.end - source.line_start(number), len(text)))
    cut = 0
    if len(text) > EXCERPT_COLUMNS:
        cut = max(0, min(start - 20, len(text) - EXCERPT_COLUMNS))
        end = min(end, cut + EXCERPT_COLUMNS)
    shown = printable(text[cut : cut + EXCERPT_COLUMNS])
    before = ("..." if cut else "") + shown[: start - cut]
    after = "..." if cut + EXCERPT_COLUMNS < len(text) else ""
    marked = text[start:end]
    carets = "^" * max(1, min(cells_wide(marked), EXCERPT_COLUMNS))
    gutter = style(f"{' ' * width} |", "gutter")
    pointer = f"{' ' * cells_wide(before)}{style(f'{carets} {label}'.rstrip(), role)}"
    return [
        gutter,
        f"{style(f'{number:>{width}} |', 'gutter')} {'...' if cut else ''}{shown}{after}",
        f"{gutter} {pointer}",
    ]


def printable(text: str) -> str:
    """Replace tabs by spaces, and control or invisible characters by a middle dot."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{MIDDLE DOT}" for c in text)


def cells_wide(text: str) -> int:
    """Return the number of columns that a terminal needs for a text."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )

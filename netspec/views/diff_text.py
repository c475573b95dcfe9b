"""The differences of two nets as wholes, in lines for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any, NamedTuple

from netspec.ir.words import counted
from netspec.language.diagnostics import cells_wide, printable
from netspec.views.diff_stages import Changes

WIDTH = 80
PARTS_AT_MOST = 6
"""The most lines that are shown of a document."""


class Line(NamedTuple):
    """A line of the table.

    ``role`` is ``heading``, ``removed``, ``added``, ``changed`` (the values of ``b``), or empty.
    """

    text: str
    role: str = ""


def text_lines(text: str, role: str = "", indent: int = 0) -> list[Line]:
    """Return a text as lines; those after the first are indented."""
    parts = wrapped(printable(text), WIDTH - indent - 2)
    return [Line(" " * (indent + 2 * bool(i)) + part, role) for i, part in enumerate(parts)]


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in parts of a width, broken between words; longer words are broken too."""
    if cells_wide(text) > len(text):  # textwrap counts characters, and some are two cells wide
        width //= 2
    return wrap(text, width, break_on_hyphens=False)


def pair_of(both: Iterable[Any]) -> str:
    """Return the value in the first net and the value in the second."""
    return " -> ".join("none" if value is None else str(value) for value in both)


def names_of(both: Iterable[list[str]]) -> str:
    """Return the names of both, those of one net separated by commas."""
    return pair_of(", ".join(names) or None for names in both)


def of_net(changes: Changes) -> Iterator[Line]:
    """Yield the differences of two nets outside their rows; inputs are in the heading."""
    if "outputs" in changes:
        yield from text_lines(f"~ outputs: {names_of(changes['outputs'])}", "changed")
    if "title" in changes:
        titles = (f'"{title}"' if title else None for title in changes["title"])
        yield from text_lines(f"~ title: {pair_of(titles)}", "changed")
    if "parameters" in changes:
        defaults = ([_default(*item) for item in both.items()] for both in changes["parameters"])
        yield from text_lines(f"~ parameters: {names_of(defaults)}", "changed")
    if "columns" in changes:
        yield from text_lines(f"~ columns: {pair_of(changes['columns'])}", "changed")
    if "claims" in changes:
        yield from text_lines(f"~ claims of one only: {names_of(changes['claims'])}", "changed")
    for directive, both in changes.get("recipe", {}).items():
        steps = (" | ".join(steps) or None for steps in both)
        yield from text_lines(f"~ train {directive}: {pair_of(steps)}", "changed")
    for document in changes.get("documents", []):
        yield from _document(document)


def _default(name: str, default: str | None) -> str:
    return name if default is None else f"{name}={default}"


def _document(document: dict[str, Any]) -> Iterator[Line]:
    name = f'document "{document["b"] if document["a"] is None else document["a"]}"'
    if document["a"] is None:
        yield from text_lines(f"~ {name}: in + only", "changed")
    elif document["b"] is None:
        yield from text_lines(f"~ {name}: in - only", "changed")
    else:
        yield from text_lines(f"~ {name}", "changed")
        parts = list(_parts(document["changes"]))
        for part in parts[:PARTS_AT_MOST]:
            yield from text_lines(part, "changed", indent=4)
        if len(parts) > PARTS_AT_MOST:
            more = counted(len(parts) - PARTS_AT_MOST, "difference")
            yield Line(f"    and {more} more; --json lists them", "changed")


def _parts(changes: Changes) -> Iterator[str]:
    """Yield the differences of a document: its depth, printed rows and sentences."""
    if "depth" in changes:
        yield f"depth: {pair_of(changes['depth'])}"
    for kind in ("rows", "sentences"):
        for part in changes.get(kind, []):
            name = part["b"] if part["a"] is None else part["a"]
            name = f'says "{name}"' if kind == "sentences" else name
            if part["a"] is None or part["b"] is None:
                yield f"{name}: in {'+' if part['a'] is None else '-'} only"
            for key, both in part["changes"].items():
                yield f"{name}: {key} {pair_of(value or None for value in both)}"

"""Find the modules that print nets and traces; they are imported when they are needed.

A view imports the class that it prints, so that class cannot import the view.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, TypeVar

PRINTERS = {
    "Diff": "netspec.views.diff_table",
    "Drawing": "netspec.views.drawing",
    "Net": "netspec.views.table",
    "Rows": "netspec.views.table",
    "Summary": "netspec.views.summary",
    "Trace": "netspec.tracing.text",
}
"""The module that prints a class, by the name of the class."""


def printer(name: str) -> Any:
    """Return the module that prints a class; it has ``as_text``, and may have ``as_html``."""
    return import_module(PRINTERS[name])


class Entry(Protocol):
    """What a listing shows in one line."""

    @property
    def line(self) -> str:
        """The entry in one line."""


T = TypeVar("T", bound=Entry)


class Listing(tuple[T, ...]):
    """A tuple that prints one line per entry."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(entry.line for entry in self)

"""Find the modules that print nets and traces; they are imported when they are needed.

A view imports the class that it prints, so that class cannot import the view.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any, Protocol, TypeVar

PRINTERS = {
    "Bench": "netspec.views.bench",
    "Chart": "netspec.views.bench_chart",
    "Classification": "netspec.views.classification",
    "Classifications": "netspec.views.classification",
    "Comparison": "netspec.views.comparison",
    "Converted": "netspec.views.pretrained",
    "Diff": "netspec.views.diff_table",
    "Drawing": "netspec.views.draw",
    "Evaluation": "netspec.views.evaluation",
    "Exchanges": "netspec.views.exchanges",
    "Figure": "netspec.views.comparison_chart",
    "Model": "netspec.views.model",
    "Net": "netspec.views.table",
    "Packed": "netspec.views.packed",
    "Result": "netspec.views.training",
    "Rows": "netspec.views.table",
    "Saved": "netspec.views.saved",
    "Summary": "netspec.views.summary",
    "Trace": "netspec.tracing.text",
}
"""The module that prints a class, by the name of the class."""


def printer(name: str) -> Any:
    """Return the module that prints a class; it has ``as_text``, and may have ``as_html``."""
    return import_module(PRINTERS[name])


def plain_data(data: Any) -> Any:
    """Return data with nothing but what JSON has: symbols and paths are texts, tuples lists."""
    return json.loads(json.dumps(data, default=str))


class Printed:
    """A result: ``str`` and ``repr`` are what its command prints, without colours."""

    def __str__(self) -> str:
        return str(printer(type(self).__name__).as_text(self))

    def __repr__(self) -> str:
        return str(self)

    def as_json(self) -> Any:
        """Return what the command prints with ``--json``, as plain data."""
        return plain_data(printer(type(self).__name__).as_json(self))


class PrintedByRows:
    """A model: ``repr`` and ``str`` are the rows of its net, not all of its modules."""

    def __repr__(self) -> str:
        return str(printer("Model").as_text(self))

    def __str__(self) -> str:
        return repr(self)


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

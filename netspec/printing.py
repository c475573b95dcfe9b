"""How nets and traces print themselves: by modules that are imported when they are needed.

A view imports what it shows, which therefore cannot import the view.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PRINTERS = {
    "Net": "netspec.views.table",
    "Trace": "netspec.tracing.text",
}
"""The module that prints the objects of a class."""


def printer(name: str) -> Any:
    """Return the module that prints a class: it has ``as_text``, and perhaps ``as_html``."""
    return import_module(PRINTERS[name])

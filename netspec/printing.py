"""Find the modules that print nets and traces; they are imported when they are needed.

A view imports the class that it prints, so that class cannot import the view.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PRINTERS = {
    "Net": "netspec.views.table",
    "Trace": "netspec.tracing.text",
}
"""The module that prints a class, by the name of the class."""


def printer(name: str) -> Any:
    """Return the module that prints a class; it has ``as_text``, and may have ``as_html``."""
    return import_module(PRINTERS[name])

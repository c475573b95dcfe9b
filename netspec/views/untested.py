"""Classes of which no image was tested."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.ir.words import plural
from netspec.language.diagnostics import printable

SHOWN = 5
"""The largest number of names in a line."""


def untested_classes(names: Sequence[str]) -> str:
    """Return ``no image of class green was tested``; an empty string if there are no names."""
    if not names:
        return ""
    shown = ", ".join(map(printable, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    return f"no image of {plural('class', len(names))} {shown} was tested"

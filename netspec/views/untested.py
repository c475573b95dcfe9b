"""Classes that a test did not see."""

from __future__ import annotations

from collections.abc import Sequence

from netspec.ir.words import plural
from netspec.language.diagnostics import printable

SHOWN = 5
"""Names in a line."""


def untested_classes(names: Sequence[str]) -> str:
    """Return ``no image of class green was tested``; an empty text if there are no such names."""
    if not names:
        return ""
    shown = ", ".join(map(printable, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    return f"no image of {plural('class', len(names))} {shown} was tested"

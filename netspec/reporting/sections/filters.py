"""The kernels of the first convolution."""

from __future__ import annotations

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject


def content(subject: Subject) -> Html:
    """Return the kernels as images."""
    path = subject.path
    from netspec.see.filters import filters

    return picture(filters(path))

"""The kernels of the first convolution."""

from __future__ import annotations

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject

NOTE = "Mid-grey is a weight of 0; each kernel has its own scale."


def content(subject: Subject) -> Html:
    """Return the kernels as images."""
    path = subject.path
    from netspec.see.filters import filters

    return picture(filters(path), NOTE, subject.without_folders)

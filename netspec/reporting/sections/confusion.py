"""The classes that a trained net confuses, and its worst mistakes."""

from __future__ import annotations

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject


def content(subject: Subject) -> Html:
    """Return the matrix of the validation set."""
    path = subject.path
    from netspec.see.confusion import confusion

    return picture(confusion(path, subject.other_data))

"""The classes that a trained net confuses, and its worst mistakes."""

from __future__ import annotations

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject

NOTE = (
    "Rows of the matrix are the right classes, columns the answers. Below it are the mistakes with "
    "the largest difference between the scores of the answer and of the right class."
)


def content(subject: Subject) -> Html:
    """Return the matrix of the validation set."""
    path = subject.path
    from netspec.see.confusion import confusion

    remarks: list[str] = []
    shown = confusion(path, subject.other_data, note=remarks.append)
    return picture(shown, NOTE, subject.without_folders, remarks)

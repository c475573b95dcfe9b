"""Loss and errors of runs over epochs."""

from __future__ import annotations

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject

NOTE = (
    "A dotted line marks a change of the learning rate. The training error is the mean over an "
    "epoch, with augmentation and dropout."
)


def content(subject: Subject) -> Html:
    """Return the curves of a run."""
    return _picture(subject)


def compared(a: Subject, b: Subject) -> Html:
    """Return the curves of two runs in one picture."""
    return _picture(a, b)


def _picture(*subjects: Subject) -> Html:
    paths = [subject.path for subject in subjects]
    from netspec.see.curves import curves

    return picture(curves(paths), NOTE, subjects[0].without_folders)

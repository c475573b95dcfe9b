"""The images of the validation set that excite maps most, with their projections."""

from __future__ import annotations

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject

MAPS = 8
NOTE = (
    "Of each map: right, the parts of nine images of the validation set that excite it most; left, "
    "what in them excites it, by projection to pixels."
)


def content(subject: Subject) -> Html:
    """Return nine images for each of some maps of the last row with a convolution."""
    path = subject.path
    from netspec.see.top9 import top9

    remarks: list[str] = []
    shown = top9(path, data=subject.other_data, split="validation", count=MAPS, note=remarks.append)
    return picture(shown, NOTE, subject.without_folders, remarks)

"""What excites maps during training."""

from __future__ import annotations

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject

NOTE = (
    "The strongest activation of each map for an image of the validation set, after some epochs of "
    "training, projected to pixels."
)


def content(subject: Subject) -> Html:
    """Return the projections after the epochs of the snapshots."""
    path = subject.path
    from netspec.see.evolution import evolution

    remarks: list[str] = []
    shown = evolution(path, data=subject.other_data, split="validation", note=remarks.append)
    return picture(shown, NOTE, subject.without_folders, remarks)

"""Images of the validation set, and the images of the training set that are nearest to them."""

from __future__ import annotations

from netspec.errors import DataError
from netspec.reporting.html import Html, picture
from netspec.reporting.sections.predictions import at_equal_distances
from netspec.reporting.subject import Subject

IMAGES = 4
MOST = 20_000
"""Images of a training set that are compared; more would take too long for a report."""
NOTE = (
    "Left, images of the validation set; right of each, the nearest training images: above by the "
    "activations of the last hidden layer, below by pixels."
)


def content(subject: Subject) -> Html:
    """Return the nearest training images of some images of the validation set.

    Raises:
        DataError: The subject is a spec, or its training set is too large.
    """
    seen = subject.seen
    from netspec.see.neighbours import neighbours
    from netspec.see.streaming import split_of

    count = len(split_of(seen, subject.other_data, "train"))
    if count > MOST:
        raise DataError(
            f"the training set has {count:,} images, and a report compares at most {MOST:,}: use "
            "netspec see neighbours"
        )
    queries = at_equal_distances(split_of(seen, subject.other_data, "validation"), IMAGES)
    remarks: list[str] = []
    shown = neighbours(subject.path, queries=queries, data=subject.other_data, note=remarks.append)
    return picture(shown, NOTE, subject.without_folders, remarks)

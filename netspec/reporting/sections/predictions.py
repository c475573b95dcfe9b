"""Images of the validation set with their most probable classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netspec.reporting.html import Html, picture
from netspec.reporting.subject import Subject

if TYPE_CHECKING:
    from netspec.data.dataset import Dataset

IMAGES = 8
TOP = 5
NOTE = (
    "Images of the validation set at equal distances, each with its right class, and bars of the "
    "most probable classes. The right class is orange."
)


def content(subject: Subject) -> Html:
    """Return images from all parts of the validation set, at equal distances."""
    seen = subject.seen
    from netspec.see.predictions import predictions
    from netspec.see.streaming import split_of

    dataset = split_of(seen, subject.other_data, "validation")
    numbers = at_equal_distances(dataset, IMAGES)
    examples = [dataset.example(number) for number in numbers]
    outputs = seen.net.graph.stage(seen.net.graph.outputs[0]).known_shape.channels
    shown = predictions(
        subject.path, [example.pixels for example in examples], top=min(TOP, outputs)
    )
    shown = replace(
        shown,
        images=tuple(dataset.called(number) for number in numbers),
        labels=np.array([example.label for example in examples]),
        label_names=tuple(dataset.classes[example.label] for example in examples),
    )
    return picture(shown, NOTE, subject.without_folders)


def at_equal_distances(dataset: Dataset, most: int) -> list[int]:
    """Return the numbers of images from all parts of a data set."""
    count = min(most, len(dataset))
    return [place * len(dataset) // count for place in range(count)]

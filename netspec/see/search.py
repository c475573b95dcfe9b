"""``netspec see search``: the images of an index whose binary codes are nearest to images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.errors import ArgumentError
from netspec.ir.arguments import whole
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.see.codes import some_of
from netspec.see.figures import (
    INCHES_WIDE,
    INK,
    SMALL,
    Visualisation,
    new_figure,
    short,
    show_image,
    tally,
)
from netspec.see.images import Given as GivenImages
from netspec.see.index import CodeIndex
from netspec.see.names import fitted
from netspec.see.streaming import split_of
from netspec.see.subject import open_seen
from netspec.see.vectors import vectors_of_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

KEPT = 6
MOST_KEPT = 100
MOST_IMAGES = 50
BETWEEN = 0.2
"""Space between an image and those found, in images."""
TEXT = 0.42
"""Height of the text under an image, in inches."""


@dataclass(frozen=True, repr=False)
class Search(Visualisation):
    """Images, and the images of an index whose codes are nearest to theirs.

    Q is the number of images that others are searched for, K that of images found for each.

    Attributes:
        caption: What is shown.
        data: Name of the split that is searched.
        row: The row or stage.
        bits: Length of the codes.
        images: Paths of the images, [Q].
        examples: Numbers of the images found, in the data, from 0, the nearest first, [Q, K].
        names: Names of their classes, [Q][K].
        distances: Numbers of bits in which the codes differ, [Q, K].
        pixels: The parts of the images that the net sees, uint8 [Q, H, W, C].
        found: Those of the images found, uint8 [Q, K, H, W, C].
    """

    caption: str
    data: str
    row: str
    bits: int
    images: tuple[str, ...]
    examples: NDArray[np.int64]
    names: tuple[tuple[str, ...], ...]
    distances: NDArray[np.int64]
    pixels: Pixels = field(metadata={"json": False})
    found: Pixels = field(metadata={"json": False})

    def draw(self) -> Figure:
        count, kept = self.examples.shape
        across = kept + 1 + BETWEEN
        cell = INCHES_WIDE / max(across, 6)
        down = cell * self.pixels.shape[1] / self.pixels.shape[2] + TEXT
        figure = new_figure(cell * max(across, 3), count * down)
        widths = [1, BETWEEN, *[1] * kept]
        panels = figure.subplots(count, len(widths), squeeze=False, width_ratios=widths)
        for q in range(count):
            panels[q, 1].set_visible(False)
            show_image(panels[q, 0], self.pixels[q])
            name = fitted(short(self.images[q]), cell, SMALL)
            panels[q, 0].set_xlabel(name, fontsize=SMALL, color=INK)
            for k in range(kept):
                show_image(panels[q, 2 + k], self.found[q, k])
                name, bits = fitted(self.names[q][k], cell, SMALL), int(self.distances[q, k])
                text = f"{name}\n{counted(bits, 'bit')}"
                panels[q, 2 + k].set_xlabel(text, fontsize=SMALL, color=INK, labelpad=2)
        return figure

    def lines(self) -> list[str]:
        return [
            f"{image}: {tally(names)}; {distances[0]} to {distances[-1]} of {self.bits} bits differ"
            for image, names, distances in zip(
                self.images, self.names, self.distances.tolist(), strict=True
            )
        ]


def search(
    subject: Given,
    images: GivenImages,
    *,
    index: str | Path | CodeIndex,
    count: int = KEPT,
    data: str | None = None,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Search:
    """Return the images of an index that are nearest to images, as ``netspec see search`` does.

    Nearest is the smallest Hamming distance of codes.  Of equal distances, the image with the
    smaller number in the data comes first.

    Args:
        subject: the net, with the weights that the index was made with, as
            :func:`netspec.classify` takes it.
        images: one image or several, as :func:`netspec.classify` takes them.
        index: a file that ``netspec see codes --index`` wrote, or ``netspec.see.codes(...).index``.
        count: number of images to find.
        data: the data of the index, in another place.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, or the index is of another net, weights or data.
    """
    count = whole("count", count, 1, MOST_KEPT)
    codes = index if isinstance(index, CodeIndex) else CodeIndex.load(index)
    named = "the index" if isinstance(index, CodeIndex) else str(index)
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    codes.require(seen, named)
    about = codes.about
    dataset = split_of(seen, about.data if data is None else data, "train")
    codes.require_data(dataset, named)
    samples = seen.preparation.samples(images)
    if len(samples) > MOST_IMAGES:
        raise ArgumentError(f"images must be at most {MOST_IMAGES}, not {len(samples):,}")
    wanted = codes.encoder.encode(vectors_of_samples(seen, about.row, samples))
    places, distances = codes.nearest(wanted, count)
    examples, labels = codes.numbers[places], codes.labels[places]
    found = [
        [seen.preparation.sample(dataset.example(number).pixels).pixels for number in of_image]
        for of_image in examples.tolist()
    ]
    return Search(
        caption=f"Nearest images by codes of {codes.encoder.bits} bits of {about.row}\n"
        f"{some_of(codes, dataset)}\n{seen.called}",
        data=dataset.name,
        row=about.row,
        bits=codes.encoder.bits,
        images=tuple(sample.name for sample in samples),
        examples=examples,
        names=tuple(tuple(dataset.classes[label] for label in row) for row in labels.tolist()),
        distances=distances,
        pixels=np.stack([sample.pixels for sample in samples]),
        found=np.array(found),
    )

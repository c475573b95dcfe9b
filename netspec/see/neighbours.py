"""``netspec see neighbours``: the nearest training images of images (AlexNet, Figure 4, right).

Krizhevsky, Sutskever and Hinton 2012, section 6.1: images whose activations of the last hidden
layer are near to each other show the same things, although their pixels are far apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Dataset, Pixels
from netspec.errors import ArgumentError, DataError
from netspec.inference.classify import pictures_in
from netspec.ir.arguments import place, whole, wholes
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.see.figures import (
    INK,
    QUIET,
    RIGHT,
    SMALL,
    Visualisation,
    bare,
    new_figure,
    place_image,
    short,
    tally,
)
from netspec.see.images import Given as GivenImages
from netspec.see.images import Sample
from netspec.see.names import fitted
from netspec.see.nearest import Nearest
from netspec.see.streaming import BATCH, split_of, stream
from netspec.see.subject import Seen, open_seen
from netspec.see.vectors import features_row, vectors_of_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

KEPT = 6
MOST_KEPT = 100
MOST_IMAGES = 50
PIXELS = "pixels"
INCHES = 6.5
"""Width of the picture."""
GAP = 0.08
"""Space between images, as a part of their width."""
TEXT = 0.2
"""Height of a line of text, in inches."""


@dataclass(frozen=True, repr=False)
class Neighbours(Visualisation):
    """Images, and the images of a data set that are nearest to them.

    Q is the number of images that neighbours are looked for, K that of neighbours of each.  Of the
    two spaces, the first is that of the row's activations, the second that of pixels.

    Attributes:
        caption: What is shown.
        data: Name of the split of the data set.
        spaces: The row or stage, and ``pixels``.
        images: Paths of the images, or their numbers in the validation set, [Q].
        labels: Names of their classes; empty where the class is not known, [Q].
        same: The number of the first image of the data set with the same pixels, from 0; -1 if
            there is none, [Q].  Such images are not neighbours.
        copies: The number of images of the data set with the same pixels, [Q].
        examples: The numbers of the neighbours in the data set, from 0, the nearest first; -1 if
            there are fewer, [2, Q, K].
        names: The names of their classes, [2][Q][K].
        distances: Their Euclidean distances; of pixels, those of values of 0..255, [2, Q, K].
        pixels: The parts of the images that the net sees, uint8 [Q, H, W, C].
        neighbours: Those of the neighbours, uint8 [2, Q, K, H, W, C]; black if there are fewer.
    """

    caption: str
    data: str
    spaces: tuple[str, str]
    images: tuple[str, ...]
    labels: tuple[str, ...]
    same: NDArray[np.int64]
    copies: NDArray[np.int64]
    examples: NDArray[np.int64]
    names: tuple[tuple[tuple[str, ...], ...], ...]
    distances: NDArray[np.float64]
    pixels: Pixels = field(metadata={"json": False})
    neighbours: Pixels = field(metadata={"json": False})

    def draw(self) -> Figure:
        _, count, kept = self.examples.shape
        cell = INCHES / (max(kept, 5) + 1.6)  # the image itself is 1.3 wide, and has a margin
        image = (1 - GAP) * self.pixels.shape[1] / self.pixels.shape[2]
        down = image + GAP / 2 + TEXT / cell
        width = (1 - GAP) * cell
        block = 2 * down + 1.5 * GAP
        figure = new_figure(INCHES, count * block * cell + 0.05)
        axes = figure.subplots()
        bare(axes)
        for q in range(count):
            top = q * block
            self._query(axes, q, top, down, image, 1.2 * width)
            for space, row in enumerate(self.names):
                for k in range(kept):
                    if self.examples[space, q, k] < 0:
                        continue
                    left, above = 1.6 + k, top + space * down
                    place_image(axes, self.neighbours[space, q, k], left, above, 1 - GAP, image)
                    is_same = bool(self.labels[q]) and row[q][k] == self.labels[q]
                    name = fitted(row[q][k], width, SMALL)
                    axes.text(
                        left + (1 - GAP) / 2, above + image + GAP / 2, name,
                        ha="center", va="top", fontsize=SMALL, color=RIGHT if is_same else QUIET,
                    )  # fmt: skip
        axes.set_xlim(0, max(kept, 5) + 1.6)
        axes.set_ylim(count * block, 0)
        axes.set_aspect("equal")
        return figure

    def _query(
        self, axes: Axes, q: int, top: float, down: float, image: float, inches: float
    ) -> None:
        """Draw an image, its class, and at its right the names of the spaces."""
        above = top + down - image * 0.6
        place_image(axes, self.pixels[q], 0, above, 1.2 * (1 - GAP), image * 1.2)
        axes.text(
            0.6 * (1 - GAP), top + down + image * 0.6 + GAP / 2,
            fitted(self.labels[q] or short(self.images[q]), inches, SMALL),
            ha="center", va="top", fontsize=SMALL, color=RIGHT if self.labels[q] else INK,
        )  # fmt: skip
        for space, name in enumerate(self.spaces):
            axes.text(
                1.52, top + space * down + image / 2, name,
                ha="right", va="center", rotation=90, fontsize=SMALL, color=INK,
            )  # fmt: skip

    def lines(self) -> list[str]:
        lines = []
        for q, image in enumerate(self.images):
            label = f" ({self.labels[q]})" if self.labels[q] else ""
            lines.append(f"{image}{label}{self._copies_of(q)}")
            for space, name in enumerate(self.spaces):
                distances = self.distances[space, q]
                distances = distances[np.isfinite(distances)]
                if not len(distances):
                    lines.append(f"  {name}: no other image")
                    continue
                classes = tally([name for name in self.names[space][q] if name])
                lines.append(
                    f"  {name}: {classes}; distances {distances[0]:.4g} to {distances[-1]:.4g}"
                )
        return lines

    def _copies_of(self, q: int) -> str:
        if not self.copies[q]:
            return ""
        others = self.copies[q] - 1
        more = f" and {counted(int(others), 'other')}" if others else ""
        noun = "images" if others else "image"
        return f": it is {noun} {self.same[q]:,}{more} of the data, not counted as a neighbour"


class _Query(NamedTuple):
    """An image whose neighbours are looked for, and the name of its class, if known."""

    sample: Sample
    label: str


def _queries(
    seen: Seen, images: GivenImages, queries: Sequence[int], data: str | None, dataset: Dataset
) -> list[_Query]:
    """Return the images that neighbours are looked for: files and arrays, then those of the data.

    Raises:
        ValueError: there are none, or too many.
        DataError: an image cannot be read, or the data does not have it.
    """
    pictures = list(pictures_in(images))
    count = len(pictures) + len(queries)
    if not 1 <= count <= MOST_IMAGES:
        raise ArgumentError(
            f"give 1 to {MOST_IMAGES} images in images and queries together, not {count:,}"
        )
    found: list[_Query] = []
    for picture in pictures:
        sample = seen.preparation.sample(picture)
        folder = Path(sample.name).parent.name
        found.append(_Query(sample, folder if folder in dataset.classes else ""))
    if queries:
        held_out = split_of(seen, data, "validation")
        for number in queries:
            if number >= len(held_out):
                raise DataError(
                    f"{held_out.name}, does not have an image {number:,}: its images are 0 to "
                    f"{len(held_out) - 1:,}"
                )
            pixels, label = held_out.example(number)
            sample = Sample(f"validation image {number}", seen.preparation.sample(pixels).pixels)
            found.append(_Query(sample, held_out.classes[label]))
    return found


def neighbours(
    subject: Given,
    images: GivenImages = (),
    *,
    queries: Sequence[int] | None = None,
    row: str | None = None,
    data: str | None = None,
    split: str = "train",
    count: int = KEPT,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    batch: int = BATCH,
    workers: int = 0,
    state: str | Path | None = None,
    advance: Callable[[int, int], None] = lambda done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Neighbours:
    """Return the images of a data set nearest to images, as ``netspec see neighbours`` does.

    Nearest by the Euclidean distance of the activations of a row, and, to compare, by that of the
    pixels that the net sees.  An image of the data with the same pixels as the query is the query
    itself: it is reported, and it is not a neighbour.

    The result does not depend on ``batch`` and ``workers``, nor on an interruption.  Memory
    grows by about 16 bytes per image of the data set.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        images: one image or several, as :func:`netspec.classify` takes them.
        queries: numbers of images of the validation set, from 0, whose neighbours are looked for
            too.
        row: a row or stage; by default the one before the classifier.  Maps are flattened.
        data: a data set, such as ``digits``; by default that of the run.
        split: ``train`` or ``validation``: where neighbours are looked for.
        count: number of neighbours.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.
        batch: number of images that are in memory at once.
        workers: number of processes that read images.
        state: a file in which the pass over the data is saved; if it exists, the pass continues.
        advance: called with the number of images so far, and the number of all.
        note: called with a sentence for each image that cannot be read and is skipped.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, or the net does not have such a row.
        netspec.see.streaming.Interrupted: a signal stopped the pass, which is saved in ``state``.
    """
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    row = features_row(seen) if row is None else row
    shape = seen.shape_of(row)
    count = whole("count", count, 1, MOST_KEPT)
    batch, workers = whole("batch", batch, 1, 100_000), whole("workers", workers, 0, 1024)
    numbers = [] if queries is None else wholes("queries", queries, 0, 2**63)
    dataset = split_of(seen, data, split)
    chosen = _queries(seen, images, numbers, data, dataset)
    samples = [query.sample for query in chosen]
    pixels = np.stack([sample.pixels for sample in samples])
    nearest = Nearest(
        vectors_of_samples(seen, row, samples).double().numpy(),
        pixels,
        min(count, len(dataset)),
        seen.preparation.pixels,
    )
    stream(
        seen, dataset, row, nearest,
        batch=batch, workers=workers, advance=advance, note=note,
        state=None if state is None else place("state", state),
    )  # fmt: skip
    examples = nearest.numbers.numpy()
    shown = np.zeros((*examples.shape, *pixels.shape[1:]), np.uint8)
    names = np.full(examples.shape, "", object)
    for position in zip(*np.nonzero(examples >= 0), strict=True):
        example = dataset.example(int(examples[position]))
        shown[position] = seen.preparation.sample(example.pixels).pixels
        names[position] = dataset.classes[example.label]
    same = nearest.same.tolist()
    labels = [
        query.label or ("" if first < 0 else dataset.classes[dataset.example(first).label])
        for query, first in zip(chosen, same, strict=True)
    ]
    right = "; right classes are red" if any(labels) else ""
    flat = f", {counted(shape.channels, 'map')} flattened," if shape.is_map else ""
    return Neighbours(
        caption=f"Nearest images by the activations of {row}{flat} and by pixels{right}\n"
        f"{dataset.name}\n{seen.called}",
        data=dataset.name,
        spaces=(row, PIXELS),
        images=tuple(sample.name for sample in samples),
        labels=tuple(labels),
        same=nearest.same.numpy(),
        copies=nearest.copies.numpy(),
        examples=examples,
        names=tuple(tuple(tuple(of_query) for of_query in of_space) for of_space in names.tolist()),
        distances=nearest.squares.sqrt().numpy(),
        pixels=pixels,
        neighbours=shown,
    )

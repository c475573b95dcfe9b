"""``netspec see top9``: the images that excite a map most, and their projections (ZFNet, Figure 2).

Zeiler and Fergus 2014, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netspec.ir.arguments import place, whole
from netspec.ir.words import counted, plural
from netspec.language.definitions import Setting
from netspec.see.deconvnet import require_rules
from netspec.see.figures import INCHES_WIDE, SMALL, Visualisation, bare, new_figure, tally
from netspec.see.projection import beyond, framed, noun_of, size_of
from netspec.see.streaming import BATCH, split_of
from netspec.see.strongest import excited_by, loudest, strongest_of
from netspec.see.subject import chosen_maps, open_seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

KEPT = 9
MAPS = 16
MOST_MAPS = 400
ACROSS = 4
"""Maps side by side."""
GAP = 0.08
"""Space between tiles, as a part of a tile."""


@dataclass(frozen=True, repr=False)
class Top9(Visualisation):
    """The images of a data set that excite each map of a row most, and the projections of these.

    K is the number of images per map: 9, or that of all images if there are fewer.

    Attributes:
        caption: What is shown.
        data: Name of the split of the data set.
        row: The row or stage.
        size: The height and width of its maps; 1, 1 for a vector.
        maps: The numbers of the maps or units, from 0, [M].
        activations: The largest activation of each map for an image, the largest first, [M, K].
        examples: The numbers of the images in the data set, from 0, [M, K].
        labels: The names of their classes, [M][K].
        positions: The row and column of each activation in its map, [M, K, 2].
        crops: The part of the image that it depends on: first row, first column, the row after the
            last, the column after the last, [M, K, 4].
        patches: These parts, floats of 0..1 [M, K, h, w, C]; h and w are those of the largest
            part of the row, and smaller ones, which are cut at a border of the image, are NaN
            beyond it.
        projections: The projections of the activations, as images of 0..1 of which 0.5 is no
            difference, [M, K, h, w, C].
    """

    caption: str
    data: str
    row: str
    size: tuple[int, int]
    maps: NDArray[np.int64]
    activations: NDArray[np.float64]
    examples: NDArray[np.int64]
    labels: tuple[tuple[str, ...], ...]
    positions: NDArray[np.int64]
    crops: NDArray[np.int64]
    patches: NDArray[np.float32] = field(metadata={"json": False})
    projections: NDArray[np.float32] = field(metadata={"json": False})

    def draw(self) -> Figure:
        across = min(ACROSS, len(self.maps))
        down = -(-len(self.maps) // across)
        inches = min(INCHES_WIDE, 2.4 * across)
        blocks = [
            mosaic(projections, patches)
            for projections, patches in zip(self.projections, self.patches, strict=True)
        ]
        high = blocks[0].shape[0] / blocks[0].shape[1]
        figure = new_figure(inches, down * (inches / across * high + 0.22) + 0.1)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        noun = noun_of(self.size)
        for axes in panels[len(blocks) :]:
            axes.set_visible(False)
        for axes, number, block in zip(panels, self.maps, blocks, strict=False):
            axes.imshow(block)
            bare(axes)
            axes.set_title(f"{noun} {number}", fontsize=SMALL, pad=3)
        return figure

    def lines(self) -> list[str]:
        lines = []
        noun = noun_of(self.size)
        for number, values, names in zip(self.maps, self.activations, self.labels, strict=True):
            lines.append(
                f"{noun} {number}: activations {values[0]:.4g} to {values[-1]:.4g}; images of "
                f"{plural('class', len({*names}))} {tally(names)}"
            )
        return lines


def mosaic(projections: NDArray[np.float32], patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return projections [K, h, w, C] in rows of three, and right of them the patches likewise."""
    count, height, width, _ = patches.shape
    columns = min(3, count)
    rows = -(-count // columns)
    gap = max(1, round(GAP * width))
    step_down, step_right = height + gap, width + gap
    middle = columns * step_right + gap
    whole = np.ones((rows * step_down - gap, middle + columns * step_right - gap, 3), np.float32)
    for left, images in ((0, projections), (middle, patches)):
        for number, image in enumerate(images):
            top, start = number // columns * step_down, left + number % columns * step_right
            whole[top : top + height, start : start + width] = framed(image)
    return whole


def top9(
    subject: Given,
    *,
    row: str | None = None,
    data: str | None = None,
    split: str = "train",
    count: int = MAPS,
    maps: Sequence[int] | None = None,
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
) -> Top9:
    """Return the nine images that excite each map of a row most, as ``netspec see top9`` does.

    An image excites a map by its largest activation in the map; each image is there once.  Each is
    cut to the pixels that this activation depends on, and next to it is the projection of the
    activation (:mod:`netspec.see.deconvnet`).

    The result does not depend on ``batch`` and ``workers``, nor on an interruption.  Memory
    grows by about 16 bytes per image of the data set.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        row: a row or stage; by default the last one with a convolution.
        data: a data set, such as ``digits``; by default that of the run.
        split: ``train`` or ``validation``.
        count: number of maps to show: those with the largest activations.
        maps: numbers of the maps (or units) to show, from 0, in place of these.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.
        batch: number of images that are in memory at once.
        workers: number of processes that read images.
        state: a file in which the pass over the data is saved; if it exists, the pass continues.
        advance: called with the number of images so far, and the number of all.
        note: called with a sentence for each image that cannot be read and is skipped.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, the net does not have such a row or map, or an operator
            before the row does not have a rule for projections.
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
    row = seen.last_row if row is None else row
    require_rules(seen.net.graph, seen.stage_of(row), seen.net.name)
    batch, workers = whole("batch", batch, 1, 100_000), whole("workers", workers, 0, 1024)
    count = whole("count", count, 1, MOST_MAPS)
    chosen = None if maps is None else chosen_maps(seen, row, maps)
    dataset = split_of(seen, data, split)
    strongest = strongest_of(
        seen, dataset, row, KEPT,
        batch=batch, workers=workers, advance=advance, note=note,
        state=None if state is None else place("state", state),
    )  # fmt: skip
    numbers = loudest(strongest, count) if chosen is None else chosen
    excited = excited_by(seen, dataset, row, numbers, strongest)
    examples = strongest.numbers[numbers].numpy()
    noun = noun_of(size_of(seen.shape_of(row)))
    return Top9(
        caption=f"Images that excite {counted(len(numbers), noun)} of {row} most, right, and their "
        f"projections, left{beyond(excited.patches)}\n{dataset.name}\n{seen.called}",
        data=dataset.name,
        row=row,
        size=size_of(seen.shape_of(row)),
        maps=numbers,
        activations=strongest.values[numbers].numpy(),
        examples=examples,
        labels=tuple(
            tuple(dataset.classes[dataset.example(int(n)).label] for n in of_map)
            for of_map in examples
        ),
        positions=excited.positions,
        crops=excited.crops,
        patches=excited.patches,
        projections=excited.projections,
    )

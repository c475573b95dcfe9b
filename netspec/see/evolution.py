"""``netspec see evolution``: projections of maps in the course of training (ZFNet, Figure 4).

Zeiler and Fergus 2014, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import ArgumentError, DataError
from netspec.inference.source import is_a_run
from netspec.ir.arguments import place, whole, wholes
from netspec.ir.words import counted, plural
from netspec.runtime.weights import read_weights
from netspec.see.deconvnet import require_rules
from netspec.see.figures import INCHES_WIDE, SMALL, Visualisation, new_figure, short, show_image
from netspec.see.projection import beyond, framed, noun_of, size_of
from netspec.see.streaming import BATCH, part_of, split_of
from netspec.see.strongest import Excited, Strongest, excited_by, loudest, strongest_of
from netspec.see.subject import chosen_maps, open_seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = (1, 2, 5, 10, 20, 30, 40, 64)
"""The epochs of ZFNet, Figure 4."""
FEWEST = 3
"""Of these, the number that a run must have kept; else other epochs are shown."""
MAPS = 6
MOST_MAPS = 64
CELL = 1.0
"""Largest width of an image in inches."""


@dataclass(frozen=True, repr=False)
class Evolution(Visualisation):
    """The strongest activation of maps after several epochs of a run, projected to pixels.

    E is the number of epochs and M that of maps.

    Attributes:
        caption: What is shown.
        data: Name of the split of the data set.
        row: The row or stage.
        size: The height and width of its maps; 1, 1 for a vector.
        maps: The numbers of the maps or units, from 0, [M].
        epochs: The epochs; 0 is before the first, [E].
        activations: The largest activation of each map for an image of the data, [M, E].
        examples: The number of this image in the data set, from 0, [M, E].
        positions: The row and column of the activation in its map, [M, E, 2].
        crops: The part of the image that it depends on: first row, first column, the row after the
            last, the column after the last, [M, E, 4].
        patches: These parts, floats of 0..1 [M, E, h, w, C]; h and w are those of the largest
            part of the row, and smaller ones, which are cut at a border of the image, are NaN
            beyond it.
        projections: The projections of the activations, as images of 0..1 of which 0.5 is no
            difference, [M, E, h, w, C].
    """

    caption: str
    data: str
    row: str
    size: tuple[int, int]
    maps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    activations: NDArray[np.float64]
    examples: NDArray[np.int64]
    positions: NDArray[np.int64]
    crops: NDArray[np.int64]
    patches: NDArray[np.float32] = field(metadata={"json": False})
    projections: NDArray[np.float32] = field(metadata={"json": False})

    def draw(self) -> Figure:
        down, across = self.projections.shape[:2]
        high = self.projections.shape[2] / self.projections.shape[3]
        cell = min(CELL, (INCHES_WIDE - 0.6) / across)
        figure = new_figure(max(4.5, across * cell + 0.6), down * (cell * high + 0.04) + 0.25)
        panels = figure.subplots(down, across, squeeze=False)
        figure.set_layout_engine("constrained", w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
        noun = noun_of(self.size)
        for m in range(down):
            for e in range(across):
                title = f"epoch {self.epochs[e]}" if m == 0 else ""
                show_image(panels[m, e], framed(self.projections[m, e]), title)
            name = f"{noun} {self.maps[m]}"
            panels[m, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=SMALL)
        return figure

    def lines(self) -> list[str]:
        noun = noun_of(self.size)
        changes = (np.diff(self.examples, axis=1) != 0).sum(1)
        return [
            f"{noun} {number}: largest activation "
            + ", ".join(f"{value:.3g}" for value in values)
            + f"; the image with it changes {counted(int(change), 'time')}"
            for number, values, change in zip(self.maps, self.activations, changes, strict=True)
        ]


def evolution(
    run: str | Path,
    *,
    row: str | None = None,
    data: str | None = None,
    split: str = "train",
    epochs: Sequence[int] | None = None,
    count: int = MAPS,
    maps: Sequence[int] | None = None,
    batch: int = BATCH,
    workers: int = 0,
    state: str | Path | None = None,
    advance: Callable[[int, int], None] = lambda done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Evolution:
    """Return projections of maps after several epochs of a run, as ``netspec see evolution`` does.

    After each epoch, the image of the data that excites a map most is looked for, and its
    activation is projected.  So an image may replace another between two epochs.

    Args:
        run: the directory of a run that was trained with ``--snapshots``.
        row: a row or stage; by default the last one with a convolution.
        data: a data set, such as ``digits``; by default that of the run.
        split: ``train`` or ``validation``.
        epochs: the epochs to show; by default those of ZFNet (1, 2, 5, 10, 20, 30, 40, 64) of
            which the run has weights, or eight of all if that are fewer than three.
        count: number of maps to show: those with the largest activations after the last epoch.
        maps: numbers of the maps (or units) to show, from 0, in place of these.
        batch: number of images that are in memory at once.
        workers: number of processes that read images.
        state: the beginning of the paths of files in which the passes over the data are saved, one
            per epoch; if they exist, the passes continue.
        advance: called with the number of images so far, and the number of all, each counted once
            per epoch.
        note: called with a sentence for each image that cannot be read and is skipped.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: something cannot be read, the run does not have snapshots, or not of these
            epochs, or the row cannot be projected.
        netspec.see.streaming.Interrupted: a signal stopped a pass, which is saved in ``state``.
    """
    directory = place("run", run, "the path of a run directory")
    if not is_a_run(directory):
        raise DataError(
            f"{directory} is not a run directory: the evolution is that of a run, which "
            "`netspec train --snapshots` makes"
        )
    paths = _kept(directory, epochs)
    seen = open_seen(directory)
    row = seen.last_row if row is None else row
    require_rules(seen.net.graph, seen.stage_of(row), seen.net.name)
    batch, workers = whole("batch", batch, 1, 100_000), whole("workers", workers, 0, 1024)
    count = whole("count", count, 1, MOST_MAPS)
    chosen = None if maps is None else chosen_maps(seen, row, maps)
    dataset = split_of(seen, data, split)
    beginning = None if state is None else place("state", state)

    def load(epoch: int) -> None:
        seen.model.load_state_dict(read_weights(seen.net.graph, paths[epoch]))

    def look(number: int, epoch: int) -> Strongest:
        load(epoch)
        done, images = number * len(dataset), len(paths) * len(dataset)
        return strongest_of(
            seen, dataset, row, 1,
            batch=batch, workers=workers, note=note if number == 0 else lambda remark: None,
            state=None if beginning is None else part_of(beginning, f"epoch-{epoch:04}"),
            advance=lambda some, _: advance(done + some, images),
        )  # fmt: skip

    strongest = {epoch: look(number, epoch) for number, epoch in enumerate(paths)}
    last = strongest[max(paths)]
    numbers = loudest(last, count) if chosen is None else chosen
    excited: list[Excited] = []
    for epoch in paths:
        load(epoch)
        excited.append(excited_by(seen, dataset, row, numbers, strongest[epoch]))
    size, patches = size_of(seen.shape_of(row)), _joined(one.patches for one in excited)
    return Evolution(
        caption=f"Projections of {counted(len(numbers), noun_of(size))} of {row} during training"
        f"{beyond(patches)}\n{dataset.name}\n{seen.net.name}, run {short(directory)}",
        data=dataset.name,
        row=row,
        size=size,
        maps=numbers,
        epochs=np.array([*paths]),
        activations=_joined(one.values[numbers].numpy() for one in strongest.values()),
        examples=_joined(one.numbers[numbers].numpy() for one in strongest.values()),
        positions=_joined(one.positions for one in excited),
        crops=_joined(one.crops for one in excited),
        patches=patches,
        projections=_joined(one.projections for one in excited),
    )


def _joined(by_epoch: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays [M, 1, ...] of each epoch as one, [M, E, ...]."""
    return np.concatenate(list(by_epoch), 1)


def _kept(directory: Path, epochs: Sequence[int] | None) -> dict[int, Path]:
    """Return the files of weights to show, by epoch, in order.

    Raises:
        TypeError, ValueError: ``epochs`` are not numbers from 0, or there are none.
        DataError: the run does not have snapshots, or not of these epochs.
    """
    from netspec.training.directory import snapshots

    paths = snapshots(directory)
    if not paths:
        raise DataError(
            f"{directory} does not have snapshots, the weights after some epochs: train with "
            "--snapshots 1,2,5,10,20 (netspec train SPEC --data DATA -o RUN --snapshots ...)"
        )
    if epochs is None:
        chosen = [epoch for epoch in PAPER if epoch in paths]
        if len(chosen) < FEWEST:
            places = np.linspace(0, len(paths) - 1, min(len(PAPER), len(paths))).round()
            chosen = [[*paths][int(place)] for place in places]
        return {epoch: paths[epoch] for epoch in chosen}
    wanted = sorted({*wholes("epochs", epochs, 0, 10**9)})
    if not wanted:
        raise ArgumentError("epochs must be one epoch or several, not an empty sequence")
    missing = [epoch for epoch in wanted if epoch not in paths]
    if missing:
        raise DataError(
            f"{directory} does not have a snapshot of {plural('epoch', len(missing))} "
            f"{', '.join(map(str, missing))}: it has those of {', '.join(map(str, paths))}"
        )
    return {epoch: paths[epoch] for epoch in wanted}

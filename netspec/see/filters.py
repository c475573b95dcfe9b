"""``netspec see filters``: the kernels of a layer as images (AlexNet, Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netspec.errors import DataError
from netspec.ir.arguments import choice
from netspec.ir.ops.conv import Conv
from netspec.ir.parameter_names import attribute
from netspec.ir.recipe import Order
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.see.figures import (
    INCHES_WIDE,
    SMALL,
    Visualisation,
    columns_of,
    grid_size,
    new_figure,
    show_grid,
    show_image,
    tiled,
)
from netspec.see.subject import Seen, chosen_maps, open_seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

CONTRASTS = ("each", "common")
MOST_CHANNELS = 4
"""Input channels of kernels that are all shown."""
MOST_COLUMNS = 16
"""Input channels in a row of images."""


@dataclass(frozen=True, repr=False)
class Filters(Visualisation):
    """The kernels of a convolution.

    Attributes:
        caption: What is shown.
        row: The row or stage of the convolution.
        numbers: The numbers of the kernels, from 0, [N].
        kernels: Their weights, [N, kh, kw, channels], channels in the order of an image if
            ``is_colour``.
        halves: The number of columns (devices) that the kernels are divided among, 1 or more; each
            has an equal part of them, in their order.
        contrast: ``each`` if each kernel has its own scale, ``common`` if all have the same.
        is_colour: True if the input channels are red, green and blue.
        colour: Share of each kernel that is colour, 0 (grey) to 1, [N]: 1 minus the sum of squares
            of the means over channels, as a share of the sum of squares; empty if not
            ``is_colour``.
        norms: The Euclidean norm of each kernel, [N].
    """

    caption: str
    row: str
    numbers: NDArray[np.int64]
    kernels: NDArray[np.float32] = field(metadata={"json": False})
    halves: int
    contrast: str
    is_colour: bool
    colour: NDArray[np.float64]
    norms: NDArray[np.float64]

    @property
    def images(self) -> NDArray[np.float32]:
        """The kernels as images of 0..1, [N, kh, kw, channels]: a weight of 0 is 0.5."""
        sizes = np.abs(self.kernels)
        axes = (1, 2, 3) if self.contrast == "each" else None
        most = sizes.max(axis=axes, keepdims=True)
        scaled = np.divide(self.kernels, 2 * most, where=most > 0, out=np.zeros_like(self.kernels))
        images: NDArray[np.float32] = 0.5 + scaled
        return images

    def draw(self) -> Figure:
        images = self.images
        channels = images.shape[3]
        if channels in (1, 3) and (channels == 1 or self.is_colour):
            return self._grid(images)
        return self._by_channel(images)

    def _grid(self, images: NDArray[np.float32]) -> Figure:
        """Draw one image per kernel; the parts of several columns one above the other."""
        parts = np.split(images, self.halves)
        columns = columns_of(len(parts[0]), wide=2.7 if self.halves > 1 else 1.6)
        height, width = grid_size(parts[0], columns)
        inches = min(INCHES_WIDE, max(4.0, 0.6 * columns))
        above = 0.25 if self.halves > 1 else 0.05
        figure = new_figure(inches, self.halves * ((inches - 0.3) * height / width + above))
        panels = figure.subplots(self.halves, 1, squeeze=False)[:, 0]
        numbers = np.split(self.numbers, self.halves)
        for place, (axes, part) in enumerate(zip(panels, parts, strict=True)):
            title = f"column {place + 1} of {self.halves}" if self.halves > 1 else ""
            show_grid(axes, part, columns, numbers[place], title)
        return figure

    def _by_channel(self, images: NDArray[np.float32]) -> Figure:
        """Draw a grid per kernel, with one image per input channel."""
        count, _, _, channels = images.shape
        columns = min(channels, MOST_COLUMNS)
        grids = [tiled(kernel.transpose(2, 0, 1)[..., None], columns) for kernel in images]
        height, width = grids[0].shape[:2]
        across = columns_of(count, wide=height / width) if channels <= MOST_CHANNELS else 1
        down = -(-count // across)
        inches = min(INCHES_WIDE, max(4.0, 0.5 * columns * across))
        each = (inches / across - 0.3) * height / width + 0.1
        figure = new_figure(inches, down * each + 0.15)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes in panels[count:]:
            axes.set_visible(False)
        for place, (number, grid) in enumerate(zip(self.numbers, grids, strict=True)):
            axes = panels[place]
            show_image(axes, grid)
            axes.set_ylabel(f"{number}", fontsize=SMALL, rotation=0, ha="right", va="center")
            if place < across and channels <= MOST_COLUMNS:
                centres = (np.arange(channels) + 0.5) * width / channels
                axes.set_xticks(centres, [f"{channel}" for channel in range(channels)])
                axes.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False, pad=1)
        return figure

    def lines(self) -> list[str]:
        parts = np.split(self.norms, self.halves)
        lines = [f"weights {self.kernels.min():.3g} to {self.kernels.max():.3g}"]
        weak = int((self.norms < 0.1 * np.median(self.norms)).sum())
        if weak:
            lines.append(f"{counted(weak, 'kernel')} below a tenth of the median norm")
        if self.is_colour:
            shares = np.split(self.colour, self.halves)
            for number, share in enumerate(shares, 1):
                part = f"column {number}: " if len(parts) > 1 else ""
                lines.append(f"{part}colour is {100 * share.mean():.0f} % of a kernel on average")
        return lines


def filters(
    subject: Given,
    *,
    row: str | None = None,
    kernels: Sequence[int] | None = None,
    contrast: str = "each",
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
) -> Filters:
    """Return the kernels of a convolution as images, as ``netspec see filters`` does.

    A weight of 0 is mid-grey.  Kernels that see an image of three channels are in colour, those
    that see one channel are grey.  Others are shown as one grey image per input channel.  The parts
    of a net with ``columns`` are one above the other, as in AlexNet, Figure 3.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        row: a convolution: a row, or a stage of a row with several; by default the first of the
            net.
        kernels: the numbers of the kernels to show, from 0; by default all.  They must be given
            if kernels see more than 4 channels.
        contrast: ``each`` (each kernel has its own scale) or ``common`` (all have the same).
        weights, settings, expect: as :func:`netspec.classify` takes them.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec has mistakes.
        DataError: something cannot be read, or the net does not have such a row or kernel.
    """
    contrast = choice("contrast", contrast, CONTRASTS)
    seen = open_seen(subject, weights=weights, settings=settings, expect=expect)
    stage = _convolution(seen, row)
    graph = seen.net.graph
    op = graph.stage(stage).op
    assert isinstance(op, Conv)
    state = seen.model.state_dict()
    weight = op.dense(state[attribute(stage, "weight")]).float().numpy()
    count, channels = weight.shape[:2]
    if kernels is None and channels > MOST_CHANNELS:
        raise DataError(
            f"kernels of {stage} see {channels:,} channels, which one image cannot show: choose "
            f"some of the {count:,} kernels, such as kernels 0,1,2; each is shown as one image per "
            "channel"
        )
    numbers = chosen_maps(seen, stage, kernels)
    is_image = graph.operands(stage)[0] in graph.inputs
    is_colour = is_image and channels == 3
    chosen = np.ascontiguousarray(weight[numbers].transpose(0, 2, 3, 1))
    if is_colour and _is_bgr(seen):
        chosen = np.ascontiguousarray(chosen[..., ::-1])
    number_of_columns = 1 if graph.columns is None else graph.columns.number
    is_split = kernels is None and count % number_of_columns == 0
    squares = (chosen.astype(np.float64) ** 2).sum((1, 2, 3))
    grey = channels * (chosen.astype(np.float64).mean(3) ** 2).sum((1, 2))
    shown = "" if kernels is None else f"{len(numbers)} of "
    size = f"{weight.shape[2]}x{weight.shape[3]}x{channels}"
    return Filters(
        caption=f"{shown}{counted(count, 'kernel')} {size} of {row or stage}\n{seen.called}",
        row=stage,
        numbers=numbers,
        kernels=chosen,
        halves=number_of_columns if is_split else 1,
        contrast=contrast,
        is_colour=is_colour,
        colour=1 - np.divide(grey, squares, where=squares > 0, out=np.ones_like(grey))
        if is_colour
        else np.zeros(0),
        norms=np.sqrt(squares),
    )


def _convolution(seen: Seen, label: str | None) -> str:
    """Return the convolution of a row or stage, or the first of the net."""
    graph = seen.net.graph
    if label is None:
        for stage in graph.stages():
            if isinstance(stage.op, Conv):
                return stage.name
        raise DataError(f"{seen.net.name} does not have a convolution, whose kernels are images")
    seen.stage_of(label)
    names = graph.rows[label].stages if label in graph.rows else [graph.find(label)]
    convolutions = [name for name in names if isinstance(graph.stage(name).op, Conv)]
    if len(convolutions) == 1:
        return convolutions[0]
    if convolutions:
        raise DataError(
            f"row {label} of {seen.net.name} has several convolutions: give one of "
            f"{', '.join(convolutions)}"
        )
    rows = [
        row.label
        for row in graph.rows.values()
        if any(isinstance(graph.stage(name).op, Conv) for name in row.stages)
    ]
    raise DataError(
        f"row {label} of {seen.net.name} does not have a convolution; rows that have one: "
        f"{', '.join(rows) or 'none'}"
    )


def _is_bgr(seen: Seen) -> bool:
    """Return True if the channels of the net's input are blue, green and red."""
    orders = [one.channels for one in seen.subject.expects.prepare or () if isinstance(one, Order)]
    return bool(orders) and orders[-1] == "bgr"

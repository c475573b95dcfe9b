"""``netspec see projection``: an activation projected back to pixels (ZFNet, section 2.1).

Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.errors import ArgumentError, DataError, require_type
from netspec.inference.classify import Picture
from netspec.ir.arguments import whole
from netspec.ir.shapes import Shape
from netspec.language.definitions import Setting
from netspec.see.deconvnet import deconvnet, require_rules
from netspec.see.fields import Box, crop_of
from netspec.see.figures import (
    COLOURS,
    FRAME,
    SMALL,
    Visualisation,
    bare,
    fractions,
    new_figure,
    short,
    show_image,
)
from netspec.see.subject import Seen, open_seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

ROWS = 5
"""Rows that are shown by default."""
CLIPPED = 99.5
"""Percentile of magnitudes that is black or white: a few large values do not hide the others."""
PANEL = 1.45
"""Width of a panel in inches."""


@dataclass(frozen=True, repr=False)
class Projection(Visualisation):
    """The strongest activations of rows for an image, each projected back to pixels.

    Attributes:
        caption: What is shown.
        image: Path of the image.
        rows: The rows or stages, [R].
        maps: The number of the map, or of the unit of a vector, in each row, from 0, [R].
        positions: The row and column of the activation in its map, [R, 2]; 0, 0 for a vector.
        sizes: The height and width of the maps of each row, [R, 2]; 1, 1 for a vector.
        activations: The values, [R].
        crops: The part of the image that each activation depends on: first row, first column, the
            row after the last, the column after the last, [R, 4].
        signals: The projections as differences of pixels, [R, H, W, C]; 0 outside the crops.
        pixels: The part of the image that the net sees, uint8 [H, W, C].
    """

    caption: str
    image: str
    rows: tuple[str, ...]
    maps: NDArray[np.int64]
    positions: NDArray[np.int64]
    sizes: NDArray[np.int64]
    activations: NDArray[np.float64]
    crops: NDArray[np.int64]
    signals: NDArray[np.float32] = field(metadata={"json": False})
    pixels: Pixels = field(metadata={"json": False})

    def draw(self) -> Figure:
        count = len(self.rows)
        figure = new_figure(PANEL * (1 + count), 2 * PANEL + 0.2)
        panels = figure.subplots(2, 1 + count, squeeze=False)
        show_image(panels[0, 0], self.pixels, "image")
        bare(panels[1, 0])
        panels[1, 0].text(1, 0.5, "projected\nto pixels", ha="right", va="center", fontsize=SMALL)
        for number, row in enumerate(self.rows):
            box, colour = Box(*self.crops[number].tolist()), COLOURS[number % len(COLOURS)]
            outline(panels[0, 0], box, colour)
            side = max(box.height, box.width)
            for axes, image in (
                (panels[0, 1 + number], self.pixels),
                (panels[1, 1 + number], as_image(self.signals[number])),
            ):
                show_image(axes, framed(tile(image, box, side, side)))
                axes.spines[:].set(visible=True, color=colour, linewidth=1.5)
            noun = noun_of(self.sizes[number])
            panels[0, 1 + number].set_title(f"{row}, {noun} {self.maps[number]}", fontsize=SMALL)
        return figure

    def lines(self) -> list[str]:
        lines = []
        for number, row in enumerate(self.rows):
            box, (down, across) = Box(*self.crops[number].tolist()), self.positions[number]
            value, noun = self.activations[number], noun_of(self.sizes[number])
            where = f" at row {down}, column {across}" if noun == "map" else ""
            lines.append(
                f"{row}: {noun} {self.maps[number]}, activation {value:.4g}{where}, of rows "
                f"{box.top} to {box.bottom - 1} and columns {box.left} to {box.right - 1} of the "
                "image" + ("; a signal of 0 is projected to nothing" if value == 0 else "")
            )
        return lines


def noun_of(size: Sequence[int] | NDArray[np.int64]) -> str:
    """Return what a map of a size (height, width) is called: ``unit`` if it has one place."""
    return "unit" if tuple(size) == (1, 1) else "map"


def size_of(shape: Shape) -> tuple[int, int]:
    """Return the height and width of the maps of a row; 1, 1 for a vector."""
    return (shape[0], shape[1]) if shape.is_map else (1, 1)


def tile(image: NDArray[Any], box: Box, height: int, width: int) -> NDArray[np.float32]:
    """Return a part of an image, [height, width, C] of 0..1, in a tile that may be larger.

    A part that is cut at a border of the image is placed so that the tile continues beyond this
    border, with NaN.

    Args:
        image: [H, W, C], uint8 of 0..255 or floats of 0..1.
        box: the part.
        height: of the tile, at least that of the part.
        width: of the tile, at least that of the part.
    """
    whole = np.full((height, width, image.shape[2]), np.nan, np.float32)
    top = height - box.height if box.top == 0 else 0
    left = width - box.width if box.left == 0 else 0
    part = fractions(image[box.of_pixels])
    whole[top : top + box.height, left : left + box.width] = part
    return whole


def framed(tiled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a tile [h, w, 1 or 3] in colours, [h, w, 3]: beyond the image it is that of frames."""
    colours = np.broadcast_to(tiled, (*tiled.shape[:2], 3))
    return np.where(np.isnan(colours), np.array(FRAME, np.float32), colours)


def beyond(tiles: NDArray[np.float32]) -> str:
    """Return what the colour beyond images is, for a caption; empty if no tile has it."""
    return " (blue is outside the image)" if np.isnan(tiles).any() else ""


def as_image(signal: NDArray[np.float32], *, clipped: float = CLIPPED) -> NDArray[np.float32]:
    """Return differences of pixels [..., H, W, C] as an image of 0..1, where 0.5 is no difference.

    All channels have one scale, so that colours are kept.

    Args:
        signal: the differences.
        clipped: the percentile of the magnitudes that is 0 or 1; those above it are cut.
    """
    sizes = np.abs(signal).max(-1)
    most = np.percentile(sizes[sizes > 0], clipped) if (sizes > 0).any() else 1.0
    return np.asarray((0.5 + signal / (2 * most)).clip(0, 1), np.float32)


def outline(axes: Axes, box: Box, colour: str) -> None:
    """Draw the outline of a part of an image."""
    from matplotlib.patches import Rectangle

    corner = (box.left - 0.5, box.top - 0.5)
    patch = Rectangle(corner, box.width, box.height, fill=False, edgecolor=colour, clip_on=False)
    axes.add_patch(patch)


def projection(
    subject: Given,
    image: Picture,
    *,
    row: str | Sequence[str] | None = None,
    map: int | None = None,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Projection:
    """Return the strongest activation of rows, projected to pixels, as ``netspec see projection``.

    :mod:`netspec.see.deconvnet` says how each operator carries the signal back.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        image: one image, as :func:`netspec.classify` takes it.
        row: one row or stage, or several; by default five of the rows with a convolution.
        map: the number of the map (or unit) of the one row, from 0; by default the map with the
            largest activation.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, the net does not have such a row or map, or an operator
            before the row does not have a rule for projections.
    """
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    rows = _rows(seen, row)
    for label in rows:
        require_rules(seen.net.graph, seen.stage_of(label), seen.net.name)
    if map is not None:
        if len(rows) != 1:
            raise ArgumentError("map is the number of a map of one row: give the row")
        seen.require_map(rows[0], whole("map", map, 0, 10**9))
    sample = seen.preparation.sample(image)
    batch = seen.batch([sample.pixels])
    projected = [deconvnet(seen.model, batch, label, map) for label in rows]
    positions = [tuple(one.positions[0].tolist()) for one in projected]
    crops = [
        crop_of(seen.net.graph, label, (down, across))
        for label, (down, across) in zip(rows, positions, strict=True)
    ]
    named = ", ".join(rows)
    which = "The strongest activation" if map is None else f"The strongest activation of map {map}"
    return Projection(
        caption=f"{which} of {named} for {short(sample.name)}, projected to pixels\n{seen.called}",
        image=sample.name,
        rows=rows,
        maps=np.array([int(one.maps[0]) for one in projected]),
        positions=np.array(positions),
        sizes=np.array([size_of(seen.shape_of(label)) for label in rows]),
        activations=np.array([float(one.activations[0]) for one in projected]),
        crops=np.array(crops),
        signals=np.stack([seen.preparation.differences(one.pixels[0]) for one in projected]),
        pixels=sample.pixels,
    )


def _rows(seen: Seen, row: Any) -> tuple[str, ...]:
    """Return the chosen rows, or by default some of those with a convolution, evenly spread."""
    if row is not None:
        require_type("row", row, (str, Sequence), "the name of a row or stage, or several")
        rows = (row,) if isinstance(row, str) else tuple(row)
        if not rows:
            raise ArgumentError("row must be one row or several, not an empty sequence")
        return rows
    able = seen.filter_rows
    if not able:
        raise DataError(f"{seen.net.name} does not have a convolution: name the row to project")
    places = np.linspace(0, len(able) - 1, min(ROWS, len(able))).round().astype(int)
    return tuple(able[place] for place in places)

"""``netspec see activations``: the maps of a row for an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.inference.classify import Picture
from netspec.ir.arguments import choice
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.see.figures import (
    COLOURS,
    INCHES_WIDE,
    RIGHT,
    SMALL,
    Visualisation,
    coloured,
    columns_of,
    grid_size,
    new_figure,
    short,
    show_grid,
    show_image,
)
from netspec.see.names import fitted
from netspec.see.subject import Seen, chosen_maps, class_name, open_seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

CONTRASTS = ("each", "common")
NAMED = 20
"""Units whose bars have a name each."""
NAME = 1.2
"""Width of the name of a class, in inches."""


@dataclass(frozen=True, repr=False)
class Activations(Visualisation):
    """The activations of a row for an image.

    Attributes:
        caption: What is shown.
        image: Path of the image.
        row: The row or stage.
        numbers: The numbers of the maps or units, from 0, [N].
        values: Their activations: maps [N, H, W], or units [N].
        names: Names of the units, if the row is the output of a net whose classes have names.
        contrast: ``each`` if each map has its own scale, ``common`` if all have the same.
        pixels: The part of the image that the net sees, uint8 [H, W, C].
    """

    caption: str
    image: str
    row: str
    numbers: NDArray[np.int64]
    values: NDArray[np.float32]
    names: tuple[str, ...]
    contrast: str
    pixels: Pixels = field(metadata={"json": False})

    def draw(self) -> Figure:
        return self._maps() if self.values.ndim == 3 else self._bars()

    def _maps(self) -> Figure:
        is_common = self.contrast == "common"
        is_signed = bool((self.values < 0).any())
        most = float(np.abs(self.values).max()) if is_common else None
        images = np.stack([coloured(one, most, is_signed=is_signed) for one in self.values])
        columns = columns_of(len(images))
        height, width = grid_size(images, columns)
        beside = 1.3
        inches = min(INCHES_WIDE, max(4.5, beside + 0.65 * columns))
        figure = new_figure(inches, max(beside, (inches - beside - 0.4) * height / width + 0.1))
        left, right = figure.subplots(1, 2, width_ratios=(beside, inches - beside))
        show_image(left, self.pixels)
        left.set_anchor("N")
        show_grid(right, images, columns, self.numbers)
        right.set_anchor("N")
        return figure

    def _bars(self) -> Figure:
        figure = new_figure(INCHES_WIDE, 2.4)
        left, right = figure.subplots(1, 2, width_ratios=(1, 5))
        show_image(left, self.pixels)
        bars(right, self.values, self.names, self.numbers)
        right.set_xlabel(f"unit of {self.row}" if not self.names else "class")
        return figure

    def lines(self) -> list[str]:
        flat = self.values.reshape(len(self.values), -1)
        best = int(flat.max(1).argmax())
        noun = "map" if self.values.ndim == 3 else "unit"
        where = ""
        if self.values.ndim == 3:
            down, across = np.unravel_index(flat[best].argmax(), self.values.shape[1:])
            where = f", at row {down} and column {across} of the map"
        silent = int((flat == 0).all(1).sum())
        return [
            f"{counted(len(flat), noun)}; the largest activation is {flat.max():.4g} in {noun} "
            f"{self.numbers[best]}{where}"
        ] + ([f"{counted(silent, noun)} of zeros only"] if silent else [])


def bars(
    axes: Axes, values: NDArray[np.float32], names: Sequence[str], numbers: NDArray[np.int64]
) -> None:
    """Draw units as bars, the largest in another colour; names below them if they are few."""
    places = np.arange(len(values))
    axes.bar(places, values, width=0.8 if len(values) <= NAMED else 1.0, color=COLOURS[0])
    best = int(values.argmax())
    axes.bar([best], [values[best]], width=0.8 if len(values) <= NAMED else 1.0, color=RIGHT)
    axes.axhline(0, color="black", linewidth=0.6)
    if len(values) <= NAMED:
        shown = [fitted(name, NAME, SMALL) for name in names] or [f"{number}" for number in numbers]
        turned = max(map(len, shown)) * len(shown) > 60
        axes.set_xticks(
            places, shown, rotation=45 if turned else 0, ha="right" if turned else "center"
        )
    else:
        is_left = best < len(values) / 2  # the name is in the half that has more space
        axes.annotate(
            fitted(names[best], 2 * NAME, SMALL) if names else f"{numbers[best]}",
            (best, max(values[best], 0)),
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=SMALL,
            ha="left" if is_left else "right",
        )
    axes.margins(x=0.01)


def activations(
    subject: Given,
    image: Picture,
    *,
    row: str | None = None,
    maps: Sequence[int] | None = None,
    contrast: str = "each",
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Activations:
    """Return the activations of a row for an image, as ``netspec see activations`` does.

    Maps are shown as a grid; vectors, and maps of 1x1, as bars.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        image: one image, as :func:`netspec.classify` takes it.
        row: a row or a stage; by default the first row of the net.
        maps: the numbers of the maps or units, from 0; by default all.
        contrast: ``each`` (each map has its own scale) or ``common`` (all have the same).
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, or the net does not have such a row or map.
    """
    contrast = choice("contrast", contrast, CONTRASTS)
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    label = next(iter(seen.net.rows)).label if row is None else row
    numbers = chosen_maps(seen, label, maps)
    sample = seen.preparation.sample(image)
    values = seen.features(label, seen.batch([sample.pixels]))[0].float().numpy()
    if values.ndim == 3 and values.shape[1:] == (1, 1):
        values = values[:, 0, 0]
    what = f"{counted(len(numbers), 'unit')} of {label}"
    if values.ndim == 3:
        height, width = values.shape[1:]
        what = f"{counted(len(numbers), 'map')} {height}x{width} of {label}"
    return Activations(
        caption=f"{what} for {short(sample.name)}{_colours(values)}\n{seen.called}",
        image=sample.name,
        row=label,
        numbers=numbers,
        values=values[numbers],
        names=_names(seen, label, numbers),
        contrast=contrast,
        pixels=sample.pixels,
    )


def _colours(values: NDArray[np.float32]) -> str:
    """Return what the colours of maps mean, for a caption; empty if maps are not negative."""
    is_signed = values.ndim == 3 and bool((values < 0).any())
    return " (red is positive, blue is negative)" if is_signed else ""


def _names(seen: Seen, label: str, numbers: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the names of classes, if the row is the output of the net."""
    if not seen.classes or seen.stage_of(label) != seen.net.graph.outputs[0]:
        return ()
    return tuple(class_name(seen.classes, int(number)) for number in numbers)

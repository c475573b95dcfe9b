"""``netspec see invariance``: features under shift, scale and rotation (ZFNet, Figure 5).

Zeiler and Fergus 2014, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.errors import ArgumentError, DataError, require_type
from netspec.language.definitions import Setting
from netspec.see.figures import (
    COLOURS,
    INCHES_WIDE,
    SMALL,
    Visualisation,
    new_figure,
    short,
    show_image,
)
from netspec.see.images import Given as GivenImages
from netspec.see.names import fitted
from netspec.see.subject import Seen, open_seen, require_classes, right_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

KINDS = ("shift", "scale", "rotation")
UNITS = {"shift": "vertical shift, pixels", "scale": "scale", "rotation": "rotation, degrees"}
SHIFT, SIDE = 60, 224
"""Largest shift in ZFNet, for an image of 224x224; others are in proportion."""
SHIFTS, LARGEST_SCALE, SCALES, ROTATIONS = 21, 1.8, 17, 37
UNCHANGED = {"shift": 0.0, "scale": 1.0, "rotation": 0.0}
BATCH = 64


@dataclass(frozen=True, repr=False)
class Invariance(Visualisation):
    """Features of images that are shifted, scaled and rotated.

    Attributes:
        caption: What is shown.
        images: Paths of the images, [N].
        rows: The first and the last row whose features are compared.
        labels: Numbers of the classes whose outputs are shown, [N].
        label_names: Their names.
        label_origins: How they are known: ``given``, ``folder`` or ``most probable``.
        is_probability: True if outputs are probabilities.
        amounts: By ``shift`` (pixels, down is positive), ``scale`` (above 1 is larger) and
            ``rotation`` (degrees, counter-clockwise), the amounts [K].
        distances: By the same, Euclidean distances between the features of the image and of the
            changed image, [N, 2, K]: one line for each of ``rows``.
        scores: By the same, outputs for the class, [N, K].
        examples: By the same, the first image with the smallest, the middle and the largest
            amount, uint8 [3, H, W, C].
    """

    caption: str
    images: tuple[str, ...]
    rows: tuple[str, str]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    label_origins: tuple[str, ...]
    is_probability: bool
    amounts: dict[str, NDArray[np.float64]]
    distances: dict[str, NDArray[np.float64]]
    scores: dict[str, NDArray[np.float64]]
    examples: dict[str, Pixels] = field(metadata={"json": False})

    def draw(self) -> Figure:
        figure = new_figure(INCHES_WIDE, 6.6)
        grid = figure.subplots(4, 3, height_ratios=(1, 1.3, 1.3, 1.3))
        noun = "probability" if self.is_probability else "output"
        titles = [f"distance at {row}" for row in self.rows] + [f"{noun} of the class"]
        for column, kind in enumerate(KINDS):
            examples = np.concatenate(list(_spaced(self.examples[kind])), axis=1)
            show_image(grid[0, column], examples, UNITS[kind].partition(",")[0])
            for line in range(3):
                axes = grid[line + 1, column]
                for number in range(len(self.images)):
                    values = self.distances[kind][number, line] if line < 2 else None
                    values = self.scores[kind][number] if values is None else values
                    color = COLOURS[number % len(COLOURS)]
                    axes.plot(self.amounts[kind], values, color=color, linewidth=1.4)
                axes.set_ylim(bottom=0)
                if line == 2 and self.is_probability:
                    axes.set_ylim(0, 1.03)
                if kind == "rotation":
                    axes.set_xticks(range(0, 361, 90))
                if column == 0:
                    axes.set_ylabel(titles[line])
                if line == 2:
                    axes.set_xlabel(UNITS[kind])
        if len(self.images) > 1:
            columns = min(4, len(self.images))
            names = [
                fitted(f"{short(image)} ({label})", INCHES_WIDE / columns - 0.5, SMALL)
                for image, label in zip(self.images, self.label_names, strict=True)
            ]
            # with handles and names of its own: matplotlib omits lines whose name begins with _
            figure.legend(grid[1, 0].lines, names, loc="outside lower center", ncols=columns)
        return figure

    def lines(self) -> list[str]:
        lines = []
        for kind in KINDS:
            at = [
                f"{self.distances[kind][:, line].max():.4g} at {self.rows[line]}" for line in (0, 1)
            ]
            least = self.scores[kind].min(1).mean()
            noun = "probability" if self.is_probability else "output"
            lines.append(
                f"{kind}: largest distance {' and '.join(at)}; least {noun} {least:.3g}"
                + (", mean of the images" if len(self.images) > 1 else "")
            )
        return lines


def invariance(
    subject: Given,
    images: GivenImages,
    *,
    rows: Sequence[str] | None = None,
    label: str | int | None = None,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Invariance:
    """Return how features change if images are shifted, scaled and rotated.

    ``netspec see invariance`` does the same.  Images are shifted up and down by up to 60/224 of the
    input's height, scaled by 1 to 1.8, and rotated by 0 to 360 degrees, as in ZFNet, Figure 5,
    about their centre, with bilinear interpolation; places outside the image get the nearest pixel
    of its border.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        images: one image or several.
        rows: two rows whose features are compared; by default the first row, and the last one
            before the output.
        label: name or number of the right class of all images; by default the folder of each image
            if it is the name of a class, else its most probable class.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, the net is not a classifier, or there is no such row or
            class.
    """
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    require_classes(seen)
    compared = _rows(seen, rows)
    samples = seen.preparation.samples(images)
    amounts = _amounts(seen.net.input_shape[0])
    rights = []
    distances: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in KINDS}
    scores: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in KINDS}
    for sample in samples:
        output, first, last = _features(seen, compared, [sample.pixels])
        right = right_class(seen, sample.name, label, output[0])
        rights.append(right)
        for kind in KINDS:
            changed = [transformed(sample.pixels, kind, amount) for amount in amounts[kind]]
            outputs, *features = _features(seen, compared, changed)
            apart = [
                (values - whole).flatten(1).norm(dim=1)
                for values, whole in zip(features, (first, last), strict=True)
            ]
            distances[kind].append(torch.stack(apart).numpy())
            scores[kind].append(outputs[:, right.number].numpy())
    first_pixels = samples[0].pixels
    which = {kind: (0, len(amounts[kind]) // 2, len(amounts[kind]) - 1) for kind in KINDS}
    which["rotation"] = (ROTATIONS // 8, ROTATIONS // 4, ROTATIONS // 2)
    whose = (
        f"{short(samples[0].name)}: {rights[0]}" if len(samples) == 1 else f"{len(samples)} images"
    )
    return Invariance(
        caption=f"Features under shift, scale and rotation, {whose}\n{seen.called}",
        images=tuple(sample.name for sample in samples),
        rows=compared,
        labels=np.array([right.number for right in rights]),
        label_names=tuple(right.name for right in rights),
        label_origins=tuple(right.origin for right in rights),
        is_probability=seen.is_probability,
        amounts=amounts,
        distances={kind: np.stack(distances[kind]) for kind in KINDS},
        scores={kind: np.stack(scores[kind]) for kind in KINDS},
        examples={
            kind: np.stack([transformed(first_pixels, kind, amounts[kind][n]) for n in which[kind]])
            for kind in KINDS
        },
    )


def transformed(pixels: Pixels, kind: str, amount: float) -> Pixels:
    """Return an image [H, W, C] that is shifted, scaled or rotated.

    Args:
        pixels: the image.
        kind: ``shift`` (pixels, down is positive), ``scale`` (above 1 is larger), ``rotation``
            (degrees, counter-clockwise).
        amount: how much.
    """
    if amount == UNCHANGED[kind]:
        return pixels
    height, width = pixels.shape[:2]
    matrix, offset = np.eye(2), np.zeros(2)
    match kind:
        case "shift":
            offset[1] = -amount
        case "scale":
            matrix /= amount
        case "rotation":
            angle = amount * pi / 180
            # y points down, so this turns counter-clockwise as it is seen
            matrix = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    down, across = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    places = (np.stack([across, down], -1) - centre) @ matrix.T + centre + offset
    # grid_sample takes places from -1 to 1, which are the centres of the outer pixels
    fractions = places / np.maximum(centre, 0.5) - 1
    image = torch.from_numpy(pixels.astype(np.float64)).movedim(-1, 0)[None]
    sampled = torch.nn.functional.grid_sample(
        image, torch.from_numpy(fractions)[None], padding_mode="border", align_corners=True
    )
    changed: Pixels = sampled[0].movedim(0, -1).round().clamp(0, 255).to(torch.uint8).numpy()
    return np.ascontiguousarray(changed)


def _amounts(height: int) -> dict[str, NDArray[np.float64]]:
    largest = max(1, round(SHIFT * height / SIDE))
    return {
        "shift": np.unique(np.linspace(-largest, largest, SHIFTS).round()),
        "scale": np.linspace(1, LARGEST_SCALE, SCALES),
        "rotation": np.linspace(0, 360, ROTATIONS),
    }


def _rows(seen: Seen, rows: Sequence[str] | None) -> tuple[str, str]:
    """Return the two rows to compare; raise DataError or ValueError if they are not two."""
    if rows is not None:
        require_type("rows", rows, Sequence, "two rows, such as C1 and F7")
        if isinstance(rows, str) or len(rows) != 2:
            raise ArgumentError("rows must be two rows, such as C1 and F7")
        for row in rows:
            seen.stage_of(row)
        return rows[0], rows[1]
    end = seen.net.graph.outputs[0]
    labels = [row.label for row in seen.net.rows if not row.head]
    before = [label for label in labels if seen.stage_of(label) != end]
    if not before:
        raise DataError(
            f"{seen.net.name} has one row only: there are no features before its output"
        )
    return before[0], before[-1]


def _features(
    seen: Seen, rows: tuple[str, str], images: Sequence[Pixels]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return outputs [N, classes] and the features of both rows, for images of the net's size.

    Raises:
        DataError: outputs are not finite.
    """
    module = seen.model.features(seen.net.graph.outputs[0], *rows)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            parts.append(module(seen.batch(images[start : start + BATCH])))
    outputs, first, last = (torch.cat(values).double() for values in zip(*parts, strict=True))
    if not bool(outputs.isfinite().all()):
        raise DataError(f"the outputs of {seen.net.name} are not finite for this image")
    return outputs.flatten(1), first, last


def _spaced(images: Pixels) -> Sequence[Pixels]:
    """Return images [N, H, W, C] with white between them, to be put side by side."""
    gap = np.full((images.shape[1], max(1, images.shape[2] // 16), images.shape[3]), 255, np.uint8)
    spaced = [part for image in images for part in (image, gap)]
    return spaced[:-1]

"""``netspec see occlusion``: how outputs depend on the place of a grey square (ZFNet, Figure 7).

Zeiler and Fergus 2014, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.errors import DataError
from netspec.inference.classify import Picture
from netspec.ir.arguments import whole
from netspec.language.definitions import Setting
from netspec.see.figures import COLOURS, INK, SMALL, Visualisation, new_figure, short, show_image
from netspec.see.images import GREY
from netspec.see.names import fitted
from netspec.see.subject import Seen, class_name, open_seen, require_classes, right_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

SIZE, STRIDE, SIDE = 50, 10, 224
"""The square and its steps in ZFNet, for an image of 224x224; others are in proportion."""
BATCH = 64
PANEL = 2.0
"""Width of a panel in inches."""
NAMED = 6
"""Classes in the legend."""


@dataclass(frozen=True, repr=False)
class Occlusion(Visualisation):
    """Outputs of a net for an image of which a grey square hides a part, by its place.

    Attributes:
        caption: What is shown.
        image: Path of the image.
        size: Side of the square in pixels.
        tops: Upper edges of the squares in pixels, [rows].
        lefts: Left edges of the squares in pixels, [columns].
        label: Number of the class whose output is shown.
        label_name: Its name.
        label_origin: How it is known: ``given``, ``folder`` or ``most probable``.
        is_probability: True if outputs are probabilities.
        score: Output for the class, for the whole image.
        scores: The same for each place of the square, [rows, columns].
        row: The row of the strongest map; empty if the net does not have a convolution.
        map_number: The map of the row with the largest total activity for the whole image; -1 if
            there is no row.
        activity: Its total activity, the sum of magnitudes, for the whole image.
        activities: The same for each place of the square, [rows, columns].
        answers: Number of the best class for each place of the square, [rows, columns].
        names: Names of the best classes, by their numbers as strings.
        pixels: The part of the image that the net sees, uint8 [H, W, C].
    """

    caption: str
    image: str
    size: int
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]
    label: int
    label_name: str
    label_origin: str
    is_probability: bool
    score: float
    scores: NDArray[np.float64]
    row: str
    map_number: int
    activity: float
    activities: NDArray[np.float64]
    answers: NDArray[np.int64]
    names: dict[str, str]
    pixels: Pixels = field(metadata={"json": False})

    def draw(self) -> Figure:
        height, width = self.pixels.shape[:2]
        count = 4 if self.row else 3
        figure = new_figure(PANEL * count, (PANEL - 0.1) * height / width + 0.85)
        ratios = (PANEL * height / width, 0.09)
        panels, below = figure.subplots(2, count, height_ratios=ratios)
        example = self.pixels.copy()
        top, left = (int(edges[len(edges) // 2]) for edges in (self.tops, self.lefts))
        example[top : top + self.size, left : left + self.size] = GREY
        show_image(panels[0], example, "image, one place\nof the square")
        noun = "probability" if self.is_probability else "output"
        label = fitted(self.label_name, PANEL - 0.2, SMALL)
        self._map(figure, panels[1], below[1], self.scores, f"{noun} of\n{label}")
        if self.row:
            title = f"activity of {self.row},\nmap {self.map_number}"
            self._map(figure, panels[2], below[2], self.activities, title)
        for axes in (below[0], below[-1]):
            axes.axis("off")
        self._classes(panels[-1], below[-1])
        return figure

    def _extent(self) -> tuple[float, float, float, float]:
        """Return the edges of a map in pixels of the image: a place is the centre of the square."""
        edges = []
        for starts in (self.lefts, self.tops):
            half = (starts[-1] - starts[0]) / max(1, len(starts) - 1) / 2 or self.size / 2
            middle = self.size / 2 - 0.5
            edges.append((starts[0] + middle - half, starts[-1] + middle + half))
        (left, right), (top, bottom) = edges
        return left, right, bottom, top

    def _place(self, axes: Axes, title: str) -> None:
        height, width = self.pixels.shape[:2]
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
        axes.set_title(title, fontsize=SMALL)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_linewidth(0.5)

    def _map(
        self, figure: Figure, axes: Axes, below: Axes, values: NDArray[np.float64], title: str
    ) -> None:
        """Draw values by the place of the square."""
        is_score = values is self.scores and self.is_probability
        limits: dict[str, Any] = {"vmin": 0.0, "vmax": 1.0} if is_score else {}
        shown = axes.imshow(values, extent=self._extent(), cmap="viridis", **limits)
        self._place(axes, title)
        bar = figure.colorbar(shown, cax=below, orientation="horizontal")
        bar.ax.tick_params(labelsize=SMALL, length=2)
        bar.outline.set_visible(False)

    def _classes(self, axes: Axes, below: Axes) -> None:
        """Draw the best class by the place of the square, the most frequent ones with names."""
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        numbers, counts = np.unique(self.answers, return_counts=True)
        numbers = numbers[np.argsort(-counts, kind="stable")]
        listed = [self.label, *(n for n in numbers.tolist() if n != self.label)]
        colours = ["#1f6f8b", *COLOURS[1:], "#B8B8B8"]
        index = {number: min(place, len(colours) - 1) for place, number in enumerate(listed)}
        places = np.vectorize(index.__getitem__)(self.answers)
        axes.imshow(
            places, extent=self._extent(), cmap=ListedColormap(colours), vmin=0,
            vmax=len(colours) - 1,
        )  # fmt: skip
        self._place(axes, "most probable\nclass" if self.is_probability else "best\nclass")
        present = [number for number in listed if number in numbers][:NAMED]
        name = PANEL / 2 - 0.25  # there are two in a row of the legend
        handles = [
            Patch(color=colours[index[number]], label=fitted(self.names[f"{number}"], name, SMALL))
            for number in present
        ]
        below.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 1.6),
            borderpad=0,
            ncols=2,
            handlelength=0.9,
            columnspacing=0.8,
            labelcolor=INK,
        )

    def lines(self) -> list[str]:
        down, across = np.unravel_index(self.scores.argmin(), self.scores.shape)
        noun = "probability" if self.is_probability else "output"
        share = float((self.answers == self.label).mean())
        where = f"rows {self.tops[down]} to {self.tops[down] + self.size - 1}"
        where += f", columns {self.lefts[across]} to {self.lefts[across] + self.size - 1}"
        lines = [
            f"{noun} of {self.label_name}: {self.score:.3g} for the whole image, "
            f"{self.scores.min():.3g} where the square hides {where}",
            f"{self.label_name} is the best class for {100 * share:.0f} % of "
            f"{self.scores.size:,} places",
        ]
        if self.row:
            lines.append(
                f"strongest map of {self.row}: {self.map_number}, activity {self.activity:.4g}, "
                f"{self.activities.min():.4g} to {self.activities.max():.4g} with the square"
            )
        return lines


def occlusion(
    subject: Given,
    image: Picture,
    *,
    size: int | None = None,
    stride: int | None = None,
    row: str | None = None,
    label: str | int | None = None,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    batch: int = BATCH,
    advance: Callable[[int, int], None] = lambda done, places: None,
) -> Occlusion:
    """Return how outputs depend on the place of a grey square, as ``netspec see occlusion`` does.

    The square takes places from the upper left to the lower right corner of the image, at most
    ``stride`` pixels apart and evenly spaced, so that every pixel is hidden.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        image: one image.
        size: side of the square in pixels; by default 50/224 of the shorter side of the input.
        stride: pixels between places; by default 10/224 of it.
        row: row of the map whose activity is shown; by default the last with a convolution whose
            maps are larger than 1x1.
        label: name or number of the right class; by default the folder of the image if it is the
            name of a class, else the most probable class.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.
        batch: number of occluded images that are computed at once.
        advance: called with the number of finished places, and the number of all.

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
    shape = seen.net.input_shape
    side = min(shape[:2])
    size = whole("size", _part(SIZE, side) if size is None else size, 1, side)
    stride = whole("stride", _part(STRIDE, side) if stride is None else stride, 1, side)
    batch = whole("batch", batch, 1, 100_000)
    row = next(reversed(seen.wide_rows), "") if row is None else row
    if row:
        seen.require_maps(row)
    sample = seen.preparation.sample(image)
    tops, lefts = (_places(length, size, stride) for length in shape[:2])
    whole_image = seen.batch([sample.pixels])
    output, maps = _measured(seen, row, whole_image)
    right = right_class(seen, sample.name, label, output[0])
    strongest = int(maps[0].argmax()) if row else -1
    grey = seen.batch([seen.preparation.grey()])
    scores, activities, answers = [], [], []
    count, done = len(tops) * len(lefts), 0
    for occluded in _occluded(whole_image, grey, tops, lefts, size, batch):
        outputs, totals = _measured(seen, row, occluded)
        scores += outputs[:, right.number].tolist()
        activities += totals[:, strongest].tolist() if row else []
        least = seen.net.answers_by == "least"
        answers += (outputs.argmin(1) if least else outputs.argmax(1)).tolist()
        done += len(outputs)
        advance(done, count)
    grid = (len(tops), len(lefts))
    present = sorted({right.number, *answers})
    return Occlusion(
        caption=f"Occlusion of {short(sample.name)} by a square of {size}x{size}: {right}\n"
        f"{seen.called}",
        image=sample.name,
        size=size,
        tops=tops,
        lefts=lefts,
        label=right.number,
        label_name=right.name,
        label_origin=right.origin,
        is_probability=seen.is_probability,
        score=float(output[0, right.number]),
        scores=np.array(scores).reshape(grid),
        row=row,
        map_number=strongest,
        activity=float(maps[0, strongest]) if row else 0.0,
        activities=np.array(activities).reshape(grid if row else (0, 0)),
        answers=np.array(answers).reshape(grid),
        names={f"{n}": class_name(seen.classes, n) for n in present},
        pixels=sample.pixels,
    )


def _part(of_paper: int, side: int) -> int:
    return max(1, round(of_paper * side / SIDE))


def _places(length: int, size: int, stride: int) -> NDArray[np.int64]:
    """Return the edges of squares from 0 to ``length - size``, at most ``stride`` apart."""
    count = ceil((length - size) / stride) + 1
    return np.linspace(0, length - size, count).round().astype(np.int64)


def _occluded(
    image: torch.Tensor,
    grey: torch.Tensor,
    tops: NDArray[np.int64],
    lefts: NDArray[np.int64],
    size: int,
    batch: int,
) -> Iterator[torch.Tensor]:
    """Yield batches of the image [1, C, H, W] with a square of ``grey`` at each place."""
    places = [(int(top), int(left)) for top in tops for left in lefts]
    for start in range(0, len(places), batch):
        some = places[start : start + batch]
        occluded = image.repeat(len(some), 1, 1, 1)
        for one, (top, left) in zip(occluded, some, strict=True):
            part = (slice(None), slice(top, top + size), slice(left, left + size))
            one[part] = grey[0][part]
        yield occluded


def _measured(seen: Seen, row: str, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs [N, classes], and the total activity of each map of a row [N, maps].

    Raises:
        DataError: outputs are not finite.
    """
    ends = [seen.net.graph.outputs[0], *([row] if row else [])]
    with torch.inference_mode():
        values = seen.model.features(*ends)(images)
    outputs, *maps = values if isinstance(values, tuple) else (values,)
    outputs = outputs.flatten(1).double()
    if not bool(outputs.isfinite().all()):
        raise DataError(f"the outputs of {seen.net.name} are not finite for this image")
    totals = maps[0].double().abs().sum((2, 3)) if maps else outputs.new_zeros(len(outputs), 0)
    return outputs, totals

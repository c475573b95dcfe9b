"""``netspec see predictions``: images with their most probable labels (AlexNet, Figure 4, left)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.inference.classify import MOST_ANSWERS, classifier, pictures_in
from netspec.ir.arguments import whole
from netspec.language.definitions import Setting
from netspec.see.figures import (
    INK,
    PALE,
    PALE_RIGHT,
    SMALL,
    Visualisation,
    new_figure,
    short,
    show_image,
)
from netspec.see.images import Given as GivenImages
from netspec.see.names import fitted
from netspec.see.subject import class_name, known_class, open_seen, require_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netspec.inference.subject import Given

COLUMNS = 4
INCHES = 1.95
"""Width of a column."""
BAR = 0.2
"""Height of a bar, in inches."""
SCORE = 0.5
"""Width of a score, in inches."""


@dataclass(frozen=True, repr=False)
class Predictions(Visualisation):
    """Images and their most probable classes.

    Attributes:
        caption: What is shown.
        images: Paths of the images, [N].
        answers: Numbers of the best classes, the best first, [N, top].
        names: Their names, N tuples of ``top``.
        scores: Their probabilities, or the outputs of a net that does not end in a softmax,
            [N, top].
        labels: Numbers of the right classes, [N]; -1 where the class is not known.
        label_names: Their names; empty where the class is not known.
        is_probability: True if scores are probabilities.
        pixels: The parts of the images that the net sees (the centre), uint8 [N, H, W, C].
    """

    caption: str
    images: tuple[str, ...]
    answers: NDArray[np.int64]
    names: tuple[tuple[str, ...], ...]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    is_probability: bool
    pixels: tuple[Pixels, ...] = field(metadata={"json": False})

    def draw(self) -> Figure:
        count, top = self.answers.shape
        columns = min(COLUMNS, count)
        rows = ceil(count / columns)
        height, width = self.pixels[0].shape[:2]
        picture, chart = (INCHES - 0.1) * height / width + 0.22, BAR * top + 0.1
        figure = new_figure(max(INCHES * columns, 3.0), rows * (picture + chart))
        ratios = [picture, chart] * rows
        panels = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=ratios)
        for place in range(rows * columns):
            down, across = divmod(place, columns)
            above, below = panels[2 * down, across], panels[2 * down + 1, across]
            if place >= count:
                above.set_visible(False)
                below.set_visible(False)
                continue
            show_image(above, self.pixels[place])
            name = self.label_names[place] or short(self.images[place])
            title = fitted(name, INCHES - 0.1, SMALL)
            above.set_xlabel(title, fontsize=SMALL, color=INK, labelpad=3)
            self._bars(below, place)
        return figure

    def _bars(self, axes: Axes, place: int) -> None:
        scores = self.scores[place]
        # probabilities have one scale in all charts; other outputs have that of their chart
        most = 1.0 if self.is_probability else float(np.abs(scores).max()) or 1.0
        rows = np.arange(len(scores))
        is_right = self.answers[place] == self.labels[place]
        axes.barh(rows, scores, color=np.where(is_right, PALE_RIGHT, PALE), height=0.84)
        for row, (name, score) in enumerate(zip(self.names[place], scores, strict=True)):
            text = fitted(name, INCHES - 0.15 - SCORE, SMALL)
            axes.text(0.02 * most, row, text, va="center", fontsize=SMALL, color=INK)
            axes.text(
                most, row, _shown(score, self.is_probability), va="center", ha="right",
                fontsize=SMALL, color=INK,
            )  # fmt: skip
        axes.set_xlim(min(0.0, float(scores.min())), most)
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)

    def lines(self) -> list[str]:
        lines = []
        for place, image in enumerate(self.images):
            answer = self.names[place][0]
            right = self.label_names[place]
            verdict = ""
            if right:
                is_right = self.answers[place, 0] == self.labels[place]
                verdict = ", right" if is_right else f", wrong: it is {right}"
            score = _shown(self.scores[place, 0], self.is_probability)
            lines.append(f"{image}: {answer} ({score}){verdict}")
        return lines


def _shown(score: float, is_probability: bool) -> str:
    return f"{100 * score:.1f} %" if is_probability else f"{score:.3g}"


def predictions(
    subject: Given,
    images: GivenImages,
    *,
    top: int = 5,
    label: str | int | None = None,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Predictions:
    """Return images with their most probable classes, as ``netspec see predictions`` does.

    The right class is in another colour.  It is known from ``label``, else from the folder of the
    image, if that is the name of a class.  Scores are those of :func:`netspec.classify`, averaged
    over the views that the net expects.

    Args:
        subject: a net with weights, as :func:`netspec.classify` takes it.
        images: one image or several.
        top: number of classes per image.
        label: name or number of the right class of all images.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, or the net is not a classifier.
    """
    top = whole("top", top, 1, MOST_ANSWERS)
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    require_classes(seen)
    pictures = list(pictures_in(images))
    samples = seen.preparation.samples(pictures)
    look = classifier(seen.subject, top=top)
    results = [look(picture) for picture in pictures]
    known = [known_class(seen, sample.name, label) for sample in samples]
    by_class = [[answer.number for answer in result.answers] for result in results]
    what = "Most probable classes" if seen.is_probability else "Best classes"
    if seen.net.answers_by == "least":
        what += ", whose outputs are the least"
    return Predictions(
        caption=f"{what}\n{seen.called}",
        images=tuple(sample.name for sample in samples),
        answers=np.array(by_class),
        names=tuple(tuple(class_name(seen.classes, n) for n in row) for row in by_class),
        scores=np.array([[answer.score for answer in result.answers] for result in results]),
        labels=np.array([-1 if right is None else right.number for right in known]),
        label_names=tuple("" if right is None else right.name for right in known),
        is_probability=seen.is_probability,
        pixels=tuple(sample.pixels for sample in samples),
    )

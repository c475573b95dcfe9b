"""``netspec see confusion``: which classes a net confuses, and its worst mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heapreplace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Pixels
from netspec.errors import DataError, require_type
from netspec.ir.arguments import whole
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.language.diagnostics import printable
from netspec.see.figures import (
    INCHES_WIDE,
    INK,
    PALE,
    SMALL,
    Visualisation,
    new_figure,
    show_image,
)
from netspec.see.names import fitted
from netspec.see.subject import Seen, class_name, open_seen, require_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from netspec.data.dataset import Dataset
    from netspec.inference.subject import Given

MISTAKES, ACROSS = 12, 6
"""Images of mistakes by default, and in a row of the picture."""
WRITTEN = 20
"""Classes of a matrix whose counts are written into it."""
NAMED = 40
"""Classes of a matrix whose names are written next to it, and bars in a chart of errors."""
LISTED = 5
"""Pairs of classes that are printed."""
NAME = 1.0
"""Width of the name of a class, in inches."""
SCORE = 0.4
"""Width of the score of an answer, in inches."""


class Mistake(NamedTuple):
    """An image whose best class is wrong.

    Attributes:
        example: Its number in the data set, from 0.
        name: Its name in the data set.
        label: Number of the right class.
        answer: Number of the best class.
        score: Probability (or output) of the best class.
        right_score: The same of the right class.
    """

    example: int
    name: str
    label: int
    answer: int
    score: float
    right_score: float


@dataclass(frozen=True, repr=False)
class Confusion(Visualisation):
    """The answers of a net on a validation set, by class.

    Attributes:
        caption: What is shown.
        data: Name of the validation set.
        classes: Names of its classes.
        matrix: Numbers of images by right class (rows) and best class (columns),
            [classes, outputs]; the outputs after the last class have none.
        errors: Top-1 error of each class in percent, [classes]; NaN for a class without an image.
        mistakes: The worst mistakes: those with the largest difference between the scores of the
            best and of the right class, the worst first.
        images: What the net sees of them, uint8 [H, W, C] each.
    """

    caption: str
    data: str
    classes: tuple[str, ...]
    matrix: NDArray[np.int64]
    errors: NDArray[np.float64]
    mistakes: tuple[Mistake, ...]
    images: tuple[Pixels, ...] = field(metadata={"json": False})

    @property
    def error(self) -> float:
        """Top-1 error in percent."""
        right = int(np.trace(self.matrix[:, : len(self.classes)]))
        return 100 * (1 - right / int(self.matrix.sum()))

    @property
    def confused(self) -> list[tuple[int, int, int]]:
        """Pairs of classes that are confused: (right class, best class, images), most first."""
        pairs = [
            (int(right), int(best), int(self.matrix[right, best]))
            for right, best in zip(*self.matrix.nonzero(), strict=True)
            if right != best
        ]
        return sorted(pairs, key=lambda pair: (-pair[2], pair[:2]))

    def draw(self) -> Figure:
        count = len(self.images)
        each = (INCHES_WIDE - 0.1) / ACROSS
        rows = ceil(count / ACROSS)
        below = rows * (each + 0.3) + 0.25 if count else 0.0
        figure = new_figure(INCHES_WIDE, 4.1 + below)
        # subfigures returns an array, which has no type for its elements
        parts: Any = figure.subfigures(2, 1, height_ratios=(4.1, max(below, 0.01)), squeeze=False)
        upper, lower = parts[:, 0]
        left, right = upper.subplots(1, 2, width_ratios=(1.55, 1))
        self._matrix(left)
        self._errors(right)
        if count:
            self._images(lower.subplots(rows, ACROSS, squeeze=False).ravel())
            lower.suptitle("the worst mistakes: right class → answer (its score)", fontsize=SMALL)
        return figure

    def _matrix(self, axes: Axes) -> None:
        count = len(self.classes)
        # one column for all outputs that are not classes of the data, of which there can be many
        others = self.matrix[:, count:].sum(1, keepdims=True)
        matrix = np.hstack([self.matrix[:, :count], *([others] if others.any() else [])])
        shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
        if count <= WRITTEN:
            for row, column in zip(*matrix.nonzero(), strict=True):
                axes.text(
                    column, row, f"{matrix[row, column]}", ha="center", va="center",
                    fontsize=SMALL, color="white" if shares[row, column] > 0.5 else INK,
                )  # fmt: skip
        if count <= NAMED:
            names = [fitted(name, NAME, SMALL) for name in self.classes]
            answers = [*names, *(["other"] if others.any() else [])]
            turned = max(map(len, answers)) > 2
            axes.set_xticks(range(len(answers)), answers, rotation=90 if turned else 0)
            axes.set_yticks(range(count), names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("answer")
        axes.set_ylabel("right class")

    def _errors(self, axes: Axes) -> None:
        known = np.flatnonzero(~np.isnan(self.errors))
        shown = known
        if len(shown) > NAMED:  # only the worst, in their order
            shown = known[np.argsort(-self.errors[known], kind="stable")][:NAMED]
        places = np.arange(len(shown))
        axes.barh(places, self.errors[shown], color=PALE, height=0.8)
        most = max(float(self.errors[shown].max(initial=0)), 1.0)
        for place, number in enumerate(shown):
            label = f"{self.errors[number]:.1f}"
            axes.text(self.errors[number] + 0.01 * most, place, label, va="center", fontsize=SMALL)
        axes.axvline(self.error, color=INK, linewidth=0.8, linestyle=":")
        names = [fitted(self.classes[number], NAME, SMALL) for number in shown]
        axes.set_yticks(places, names)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(0, 1.15 * most)
        axes.tick_params(axis="y", length=0)
        worst = f"the {NAMED} worst classes" if len(known) > len(shown) else "each class"
        axes.set_xlabel(f"error of {worst}, %\ndotted: of all, {self.error:.2f} %")

    def _images(self, panels: Sequence[Axes]) -> None:
        for axes in panels[len(self.images) :]:
            axes.set_visible(False)
        width = INCHES_WIDE / ACROSS - 0.1
        for axes, pixels, mistake in zip(panels, self.images, self.mistakes, strict=False):
            right = printable(self.classes[mistake.label])
            answer = printable(class_name(self.classes, mistake.answer))
            text, score = f"{right} → {answer}", f" ({mistake.score:.2g})"
            if fitted(text, width - SCORE, SMALL) != text:
                # the score and the arrow take the same space
                right, answer = (fitted(name, width - SCORE, SMALL) for name in (right, answer))
                text = f"{right} →\n{answer}"
            show_image(axes, pixels)
            axes.set_xlabel(text + score, fontsize=SMALL, color=INK, labelpad=2)

    def lines(self) -> list[str]:
        total, wrong = int(self.matrix.sum()), sum(pair[2] for pair in self.confused)
        lines = [f"error {self.error:.2f} %: {wrong:,} of {counted(total, 'image')}"]
        lines += [
            f"{self.classes[right]} → {class_name(self.classes, best)}: {counted(number, 'image')}"
            for right, best, number in self.confused[:LISTED]
        ]
        more = len(self.confused) - LISTED
        if more > 0:
            lines.append(f"and {counted(more, 'other pair')}")
        return lines


def confusion(
    subject: Given,
    data: str | None = None,
    *,
    mistakes: int = MISTAKES,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    workers: int = 0,
    report: Callable[[int, int], None] = lambda done, images: None,
    note: Callable[[str], None] = lambda remark: None,
) -> Confusion:
    """Return which classes a net confuses on a validation set, as ``netspec see confusion`` does.

    Outputs are those of ``netspec eval``, averaged over the views that the net expects.  One batch
    of images is in memory at a time.

    Args:
        subject: a run, or another net with weights, as :func:`netspec.classify` takes it.
        data: a data set, such as ``digits``; by default that of the run.
        mistakes: number of images to show, the worst mistakes; 0 shows none.
        weights, settings, expect, prepare, classes: as :func:`netspec.classify` takes them.
        workers: number of processes that read images.
        report: called with the number of finished images, and the number of all.
        note: called with each remark on the data, such as an image that was skipped.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: something cannot be read, the net is not a classifier or does not have the
            classes of the data, or its weights are random.
    """
    from netspec.inference.testing import tests_of
    from netspec.training.testing import answered, best

    mistakes = whole("mistakes", mistakes, 0, 1000)
    workers = whole("workers", workers, 0, 1024)
    seen = open_seen(
        subject,
        weights=weights,
        settings=settings,
        expect=expect,
        prepare=prepare,
        classes=classes,
    )
    require_classes(seen)
    dataset = _validation(seen, data)
    by, count = seen.net.answers_by, len(dataset.classes)
    outputs_of, tests = tests_of(seen.subject, dataset, workers)
    width = seen.net.graph.stage(seen.net.graph.outputs[0]).known_shape.channels
    matrix = np.zeros((count, width), np.int64)
    worst: list[tuple[float, int, Mistake]] = []
    done = 0
    for batch, outputs in answered(outputs_of, tests):
        answers, labels = best(outputs, by), batch.labels
        np.add.at(matrix, (labels.numpy(), answers.numpy()), 1)
        for place in (answers != labels).nonzero()[:, 0].tolist() if mistakes else []:
            number, label = int(batch.numbers[place]), int(labels[place])
            answer = int(answers[place])
            score, right = float(outputs[place, answer]), float(outputs[place, label])
            mistake = Mistake(number, dataset.called(number), label, answer, score, right)
            entry = (abs(score - right), -number, mistake)  # of equal ones, the first is kept
            if len(worst) < mistakes:
                heappush(worst, entry)
            elif entry > worst[0]:
                heapreplace(worst, entry)
        done += len(labels)
        report(done, len(dataset))
    for fault in dict.fromkeys(tests.faults.by_number.values()):
        note(fault)
    tests.faults.require_some(done)
    kept = tuple(entry[2] for entry in sorted(worst, reverse=True))
    totals = matrix.sum(1).astype(np.float64)
    right_ones = matrix[np.arange(count), np.arange(count)]
    wrong = np.divide(totals - right_ones, totals, where=totals > 0, out=np.full(count, np.nan))
    pixels = (dataset.example(mistake.example).pixels for mistake in kept)
    return Confusion(
        caption=f"Right classes and answers on {dataset.name}\n{seen.called}",
        data=dataset.name,
        classes=dataset.classes,
        matrix=matrix,
        errors=100 * wrong,
        mistakes=kept,
        images=tuple(seen.preparation.sample(image).pixels for image in pixels),
    )


def _validation(seen: Seen, data: str | None) -> Dataset:
    """Return the validation split to test on.

    Raises:
        DataError: it is not known or cannot be read, or the net does not have its classes.
    """
    from netspec.data.opening import open_data

    if not seen.subject.model.is_trained:
        raise DataError(f"{seen.net.name} has random weights: give trained ones with --weights")
    if data is not None:
        require_type("data", data, str, "a data set, such as digits or images:DIR")
    name = seen.subject.data if data is None else data
    if name is None:
        raise DataError(f"{seen.net.name} does not have a data set: give one with --data")
    dataset = open_data(name).validation
    outputs = seen.net.graph.stage(seen.net.graph.outputs[0]).known_shape.channels
    names, count = seen.classes, len(dataset.classes)
    if names and names != dataset.classes:
        raise DataError(
            f"the classes of {seen.net.name} are not those of {dataset.name}: use the data that it "
            "was trained on, or give their names in the data with --classes FILE"
        )
    if outputs < count:
        raise DataError(
            f"{seen.net.name} has {outputs:,} outputs for {count} classes of {dataset.name}"
        )
    return dataset

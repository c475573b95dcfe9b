"""The measures of finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from netspec.comparing.experiment import Measure
from netspec.data import Dataset
from netspec.inference.source import Source
from netspec.inference.subject import of_source
from netspec.inference.testing import errors_of
from netspec.training.metrics import Epoch
from netspec.training.run import Run


def measured(
    run: Run, measures: Sequence[Measure], *, is_tencrop: bool, workers: int
) -> dict[str, float | None]:
    """Return the measures of a run by name; None for a level that was not reached."""
    rows, splits = run.epochs(), run.splits()
    chance = 100 - 100 / len(run.classes)
    known: dict[str, float] = {}

    def error(use: str, data: Dataset, views: str) -> float:
        if use not in known:
            subject = of_source(Source(run.net, run=run))
            known[use] = errors_of(subject, data, views=views, workers=workers).top1
        return known[use]

    def test() -> float:
        return error("test", splits.validation, "tencrop" if is_tencrop else "center")

    def training() -> float:
        return error("training", splits.train, "center")

    values: dict[str, float | None] = {}
    for measure in measures:
        match measure.kind:
            case "test":
                value: float | None = test()
            case "training":
                value = training()
            case "gap":
                value = test() - training()
            case "steps":
                value = steps_to(measure.level, while_training(rows, chance))
            case _:
                value = steps_to(measure.level, after_epochs(rows, chance))
        values[measure.name] = value
    return values


Curve = list[tuple[float, float]]
"""Points of a curve: number of steps, and error in percent."""


def while_training(rows: Sequence[Epoch], chance: float) -> Curve:
    """Return the curve of the training error; the mean over an epoch is placed at its middle."""
    ends = [0, *(row.steps for row in rows)]
    middles = [(before + after) / 2 for before, after in pairwise(ends)]
    errors = [row.train_error for row in rows]
    return [(0.0, chance), *zip(middles, errors, strict=True)]


def after_epochs(rows: Sequence[Epoch], chance: float) -> Curve:
    """Return the curve of the validation error after each epoch."""
    return [(0.0, chance), *((float(row.steps), row.top1) for row in rows)]


def steps_to(level: float, curve: Curve) -> float | None:
    """Return the first step at which a curve is at or below a level; None if it never is.

    The curve is linear between its points.
    """
    for (x0, y0), (x1, y1) in pairwise(curve):
        if y1 <= level:
            return x0 + (x1 - x0) * (y0 - level) / (y0 - y1) if y0 > level else x0
    return None

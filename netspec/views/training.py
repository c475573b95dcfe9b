"""The progress of a training run as text: a heading, a row per epoch, and steps in between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from netspec.ir.recipe import Sgd
from netspec.ir.words import counted, plural
from netspec.training.checkpoint import State
from netspec.training.loop import Result
from netspec.training.metrics import Epoch
from netspec.training.progress import Moment
from netspec.training.run import Run
from netspec.training.settings import batch_of, epochs_of
from netspec.views.untested import untested_classes

_WIDTHS = {
    "epoch": 5, "loss": 8, "train %": 8, "error %": 9, "top-5 %": 9, "lr": 8, "images/s": 9,
    "wait %": 7, "time": 8, "left": 8,
}  # fmt: skip
"""Width of each column, with the space before it: together less than the 80 of a terminal."""


def _line(cells: Iterable[str]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS.values(), strict=True))


HEADER = _line(_WIDTHS)


def as_text(result: Result) -> str:
    """Return the last line that ``netspec train`` prints."""
    skipped = f" ({counted(result.untested, 'image')} skipped)" if result.untested else ""
    errors = f"error {result.top1:.2f} %, top-5 {result.top5:.2f} %{skipped}"
    untested = f"; {says}" if (says := untested_classes(result.untested_classes)) else ""
    return f"{errors}{untested}; weights in {result.run}"


def as_json(result: Result) -> dict[str, Any]:
    """Return what ``netspec train --json`` prints."""
    return asdict(result)


def head(run: Run, steps: int, state: State) -> list[str]:
    """Return lines with the data, the recipe and the settings of a run."""
    recipe, settings = run.recipe, run.settings
    epochs = epochs_of(recipe)
    (optimizer,) = recipe.optimizer
    assert isinstance(optimizer, Sgd)
    rule = f"lr={optimizer.lr:g}, momentum={optimizer.momentum:g}, decay={optimizer.decay:g}"
    lines = [
        f"data     {settings.data}: {' and '.join(_named(run, use) for use in run.about['data'])}",
        f"recipe   {epochs} {plural('epoch', epochs)} of {counted(steps, 'step')}, "
        f"batch {batch_of(recipe)}, "
        f"sgd {rule}",
        f"run      {run.directory}, seed {settings.seed}, {settings.device}, {settings.dtype}",
    ]
    if state.epoch or state.steps:
        at = f"step {state.steps + 1:,} of epoch {state.epoch + 1}"
        lines.append(f"resume   at {at}, after {clock(state.seconds)}")
    return lines


def _named(run: Run, use: str) -> str:
    return f"{run.about['data'][use]['images']:,} for {use.replace('train', 'training')}"


def row(epoch: Epoch, left: float) -> str:
    """Return the row of an epoch under :data:`HEADER`, and a line below it if images are skipped.

    Args:
        epoch: its results.
        left: the expected time to the end of the run, in seconds.
    """
    numbers = {"training": epoch.corrupt, "validation": epoch.untested}
    skipped = ", ".join(f"{count:,} for {use}" for use, count in numbers.items() if count)
    cells = (
        f"{epoch.epoch}",
        f"{epoch.loss:.4f}",
        f"{epoch.train_error:.2f}",
        f"{epoch.top1:.2f}",
        f"{epoch.top5:.2f}",
        f"{epoch.lr:.2g}",
        f"{epoch.images_per_second:,.0f}",
        f"{100 * epoch.waiting:.1f}",
        clock(epoch.seconds),
        clock(left),
    )
    return _line(cells) + (f"\n       skipped: {skipped}" if skipped else "")


def between(moment: Moment) -> str:
    """Return a line for a step inside an epoch, for terminals without a progress bar."""
    return (
        f"       step {moment.step:,} of {moment.steps:,}: loss {moment.loss:.4f}, "
        f"train error {moment.error:.2f} %, {moment.images_per_second:,.0f} images/s, "
        f"waiting {100 * moment.waiting:.1f} %, {clock(moment.left)} left"
    )


def beside_the_bar(moment: Moment) -> str:
    """Return the text next to a progress bar, the least important part last: a narrow terminal cuts
    it off."""
    return (
        f"{moment.step:,}/{moment.steps:,}  {clock(moment.left)} left  loss {moment.loss:.4f}  "
        f"error {moment.error:.2f} %  {moment.images_per_second:,.0f} images/s  "
        f"waiting {100 * moment.waiting:.0f} %"
    )


def clock(seconds: float) -> str:
    """Return seconds as hours, minutes and seconds: ``1:02:03``, ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

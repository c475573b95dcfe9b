"""``netspec see curves``: loss and errors of runs over epochs (AlexNet, Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netspec.errors import DataError
from netspec.inference.source import is_a_run
from netspec.ir.arguments import place
from netspec.ir.words import counted
from netspec.see.figures import (
    COLOURS,
    INCHES_WIDE,
    PAPER,
    QUIET,
    SMALL,
    Visualisation,
    new_figure,
    short,
)
from netspec.see.names import fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MARKED = 12
"""Epochs whose values have a mark each."""
NAME = 1.8
"""Width of the name of a run, in inches."""


@dataclass(frozen=True)
class Curve:
    """The metrics of a run, one value per epoch.

    Attributes:
        run: Path of the run directory.
        net: Name of the net.
        epochs: Numbers of the epochs, from 1, [epochs].
        loss: Mean training loss of each epoch, [epochs].
        train_error: Training error in percent, mean over each epoch, [epochs].
        top1: Top-1 error on the validation set after each epoch, in percent, [epochs].
        top5: Top-5 error, the same, [epochs].
        rates: Learning rate of each epoch, [epochs].
    """

    run: str
    net: str
    epochs: NDArray[np.int64]
    loss: NDArray[np.float64]
    train_error: NDArray[np.float64]
    top1: NDArray[np.float64]
    top5: NDArray[np.float64]
    rates: NDArray[np.float64]

    @property
    def changes(self) -> list[int]:
        """The indices of the epochs whose rate differs from that of the epoch before."""
        return [int(n) + 1 for n in np.flatnonzero(np.diff(self.rates))]


@dataclass(frozen=True, repr=False)
class Curves(Visualisation):
    """Loss and errors of runs over their epochs.

    Attributes:
        caption: What is shown.
        runs: The metrics of each run.
    """

    caption: str
    runs: tuple[Curve, ...]

    def draw(self) -> Figure:
        from matplotlib.ticker import MaxNLocator

        figure = new_figure(INCHES_WIDE, 3.3)
        left, right = figure.subplots(1, 2)
        lines, names = [], []
        for number, (run, path) in enumerate(zip(self.runs, _names(self.runs), strict=True)):
            color, name = COLOURS[number % len(COLOURS)], fitted(path, NAME, SMALL)
            _line(left, run, run.loss, "-", color)
            lines.append(_line(right, run, run.top1, "-", color))
            lines.append(_line(right, run, run.train_error, "--", color))
            names += [f"{name}, validation", f"{name}, training"]
        _rates(left, self.runs, is_labelled=True)
        _rates(right, self.runs, is_labelled=False)
        # with one epoch, a logarithmic axis would be empty except for one point
        if any(len(run.epochs) > 1 for run in self.runs):
            if all((run.loss > 0).all() for run in self.runs):
                _log(left)
        else:
            left.set_ylim(bottom=0)
        left.set_ylabel("training loss")
        right.set_ylabel("error, %")
        right.set_ylim(bottom=0)
        for axes in (left, right):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        # with lines and names of its own: matplotlib omits lines whose name begins with _
        right.legend(lines, names, loc="upper right")
        return figure

    def lines(self) -> list[str]:
        return [
            f"{run.run}: {counted(len(run.epochs), 'epoch')}, loss {run.loss[-1]:.4g}, "
            f"training error {run.train_error[-1]:.2f} %, validation error {run.top1[-1]:.2f} %, "
            f"least {run.top1.min():.2f} % after epoch {run.epochs[run.top1.argmin()]}"
            for run in self.runs
        ]


def _line(axes: Axes, run: Curve, values: NDArray[np.float64], style: str, color: str) -> Line2D:
    mark = "o" if len(run.epochs) <= MARKED else ""
    # a hollow mark for a dashed line: a run of one epoch has marks, but no line
    inside = color if style == "-" else PAPER
    (line,) = axes.plot(
        run.epochs, values, style, color=color, linewidth=1.4,
        marker=mark, markersize=4, markerfacecolor=inside,
    )  # fmt: skip
    return line


def _log(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with numbers such as 0.2 at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _rates(axes: Axes, runs: Sequence[Curve], *, is_labelled: bool) -> None:
    """Mark the epochs at whose beginning the learning rate changes, also with the new rate."""
    told: dict[float, list[str]] = {}
    for number, run in enumerate(runs):
        for change in run.changes:
            place = float(run.epochs[change]) - 0.5
            axes.axvline(
                place,
                color=QUIET if len(runs) == 1 else COLOURS[number % len(COLOURS)],
                linewidth=0.8,
                linestyle=":",
                zorder=0,
            )
            rate = f"{run.rates[change]:.3g}"
            if rate not in told.setdefault(place, []):
                told[place].append(rate)
    # no label for each change if a rate changes in every epoch, such as with polynomial decay
    if not is_labelled or len(told) > MARKED:
        return
    for place, rates in told.items():
        axes.annotate(
            f"lr {', '.join(rates)}",
            (place, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(2, 0),
            textcoords="offset points",
            rotation=90,
            fontsize=SMALL,
            color=QUIET,
            va="top",
        )


def _names(runs: Sequence[Curve]) -> list[str]:
    """Return the names of run directories, after as many of their folders as make them differ."""
    paths = [Path(run.run).absolute() for run in runs]
    names = [short(run.run) for run in runs]
    for length in range(2, max(len(path.parts) for path in paths)):
        if len({*names}) == len(names):
            break
        names = ["/".join(path.parts[-length:]) for path in paths]
    return names


def curves(runs: str | Path | Sequence[str | Path]) -> Curves:
    """Return loss and errors of runs over epochs, as ``netspec see curves`` does.

    A dotted line marks each change of the learning rate.  The training error is the mean over an
    epoch, with augmentation and dropout, so it can be above the validation error.

    Args:
        runs: one run directory or several.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: one is not a run, cannot be read, or does not have a finished epoch.
    """
    expected = "the path of a run, or a sequence of paths"
    paths = [runs] if isinstance(runs, str | Path) else list(runs)
    if not paths:
        raise ValueError(f"runs must be {expected}, not an empty sequence")
    curves = tuple(_curve(place("each of runs", path, expected)) for path in paths)
    nets = ", ".join(dict.fromkeys(curve.net for curve in curves))
    if len(curves) == 1:
        return Curves(f"Loss and errors\n{nets}, run {short(paths[0])}", curves)
    return Curves(f"Loss and errors of {len(curves)} runs\n{nets}", curves)


def _curve(path: Path) -> Curve:
    if not is_a_run(path):
        raise DataError(
            f"{path} is not a run: curves need its metrics; `netspec train -o RUN` makes a run"
        )
    from netspec.training.metrics import read_metrics
    from netspec.training.run import Run

    run = Run.open(path)
    rows = read_metrics(path)
    if not rows:
        raise DataError(f"{path} does not have a finished epoch yet: netspec train --resume {path}")
    columns = {
        name: np.array([getattr(row, name) for row in rows], np.float64)
        for name in ("loss", "train_error", "top1", "top5", "lr")
    }
    epochs = np.array([row.epoch for row in rows])
    rates = columns.pop("lr")
    return Curve(run=str(path), net=run.net.name, epochs=epochs, rates=rates, **columns)

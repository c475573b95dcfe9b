"""The result of a comparison as a figure: errors during training, and measures."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from statistics import mean
from typing import Any

from netspec.views.bench_chart import require_matplotlib
from netspec.views.comparison import setting, value

Entry = dict[str, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, which colour-blind readers can distinguish."""

STYLES = ("-", "--", "-.", ":")
INCHES_WIDE = 9.0
INCHES_AN_ARM = 0.24
INCHES_A_PANEL = 0.72
INCHES_AT_LEAST = 3.0
BANDS = 3
"""The largest number of bands in a chart; more would hide each other."""

LEAST = 0.1
"""Errors below this, in percent, are drawn here, because a logarithmic scale does not have 0."""

TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def rendered(answer: Entry, form: str) -> bytes:
    """Return the figure as ``png`` or ``svg``.

    On the left the mean over seeds, and where arms are few the range of all seeds in a paler
    colour; on the right a dot a run, and the mean with its deviation.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    measures, arms = answer["measures"], answer["arms"]
    panels = len(measures) * (INCHES_AN_ARM * len(arms) + INCHES_A_PANEL)
    height = max(INCHES_AT_LEAST, panels) + 0.5
    figure = Figure(figsize=(INCHES_WIDE, height), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1, 1.1), wspace=0.03)
    left, right = halves
    _curves(left.subplots(), answer)
    grid = right.subplots(len(measures), 1, squeeze=False)
    for measure, axes in zip(measures, grid[:, 0], strict=True):
        _dots(axes, measure, arms)
    figure.suptitle(f"{answer['title']}: {setting(answer)}", fontsize=10)
    written = BytesIO()
    # Equal results give equal bytes: no date, and fixed ids.  Text is stored as text, not as paths.
    with matplotlib.rc_context({"svg.hashsalt": answer["experiment"], "svg.fonttype": "none"}):
        dated: Any = {"metadata": {"Date": None}} if form == "svg" else {}
        figure.savefig(written, format=form, dpi=150, **dated)
    return written.getvalue()


def _curves(axes: Any, answer: Entry) -> None:
    first = answer["measures"][0]
    is_training = first["name"].endswith("training error")
    arms = _trained(answer["arms"])
    for number, arm in enumerate(arms):
        color = COLOURS[number % len(COLOURS)]
        curves = [_curve(run, is_training=is_training) for run in arm["runs"] if run["epochs"]]
        if not curves:
            continue
        steps = [step for step, _ in min(curves, key=len)]
        errors = [[curve[i][1] for curve in curves] for i in range(len(steps))]
        style = STYLES[number % len(STYLES)]
        means = [mean(values) for values in errors]
        axes.plot(steps, means, style, color=color, label=arm["name"], linewidth=1.6)
        if len(arms) <= BANDS:
            low, high = [min(values) for values in errors], [max(values) for values in errors]
            axes.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
    if first["level"]:
        axes.axhline(first["level"], color="#808080", linewidth=0.8, zorder=0)
    axes.set_yscale("log")
    bottom, top = axes.get_ylim()
    ticks = [tick for tick in TICKS if bottom <= tick <= top]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylabel(f"{'training' if is_training else 'test'} error, %")
    axes.set_xlabel("steps")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def _trained(arms: Sequence[Entry]) -> list[Entry]:
    """Return one arm of each group with equal curves: arms that test the same nets differently."""
    different: list[Entry] = []
    for arm in arms:
        epochs = [run["epochs"] for run in arm["runs"]]
        if not any([run["epochs"] for run in earlier["runs"]] == epochs for earlier in different):
            different.append(arm)
    return different


def _curve(run: Entry, *, is_training: bool) -> list[tuple[float, float]]:
    """Return steps and errors; a mean over an epoch is drawn at the middle of the epoch."""
    columns = run["columns"]
    steps, errors = columns.index("steps"), columns.index("train_error" if is_training else "top1")
    ends = [0, *(row[steps] for row in run["epochs"])]
    places = [sum(pair) / 2 for pair in pairwise(ends)] if is_training else ends[1:]
    shown = [max(LEAST, row[errors]) for row in run["epochs"]]
    return list(zip(places, shown, strict=True))


def _dots(axes: Any, measure: Entry, arms: Sequence[Entry]) -> None:
    for y, arm in enumerate(arms):
        color = COLOURS[y % len(COLOURS)]
        result = arm["measures"][measure["name"]]
        runs = [run["values"][measure["name"]] for run in arm["runs"]]
        reached = [error for error in runs if error is not None]
        axes.plot(reached, [y] * len(reached), "o", color=color, alpha=0.45, markersize=4)
        if result["mean"] is None:
            continue
        spread = result["deviation"] or 0.0
        axes.errorbar(result["mean"], y, xerr=spread, fmt="|", color=color, markersize=11)
        axes.annotate(
            value(measure, result),
            (1.02, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
        )
    axes.set_yticks(range(len(arms)), [arm["name"] for arm in arms], fontsize=9)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(_named(measure), loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.6)
    axes.set_axisbelow(True)


def _named(measure: Entry) -> str:
    return measure["name"] if measure["unit"] == "steps" else f"{measure['name']}, %"

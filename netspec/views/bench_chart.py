"""The cases of ``netspec bench`` as a chart: one panel per case, one bar per engine."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from typing import Any

from netspec.errors import DataError
from netspec.views.bench import described, digits

Entry = dict[str, Any]

OURS, PEER, FLOOR = "#0072B2", "#B8B8B8", "#D55E00"
"""Blue, grey and vermilion of the palette of Okabe and Ito, which colour-blind readers can
distinguish."""

INCHES_WIDE = 8.0
INCHES_A_BAR = 0.32
INCHES_AROUND = 0.95


def require_matplotlib() -> None:
    """Raise DataError if matplotlib is not installed; called before anything is measured."""
    if find_spec("matplotlib") is None:
        raise DataError(
            "charts need matplotlib, which is not installed: pip install 'netspec-compiler[plot]'"
        )


def rendered(answer: Entry, form: str) -> bytes:
    """Return the chart as ``png`` or ``svg``: medians, quartiles as whiskers, floors as lines."""
    require_matplotlib()
    from matplotlib.figure import Figure

    panels = [(case, _timed(case)) for case in answer["cases"]]
    heights = [INCHES_A_BAR * max(1, len(timed)) + INCHES_AROUND for _, timed in panels]
    figure = Figure(figsize=(INCHES_WIDE, sum(heights) + 0.4), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for (case, timed), axes in zip(panels, grid[:, 0], strict=True):
        _panel(axes, case, timed)
    figure.suptitle(
        f"{described(answer['machine'])}: median time of a batch, whiskers are quartiles",
        fontsize=10,
    )
    written = BytesIO()
    figure.savefig(written, format=form, dpi=150)
    return written.getvalue()


def _timed(case: Entry) -> list[Entry]:
    """Return the measured engines, slowest first: the first bar of a chart is at the bottom."""
    engines = [entry for entry in case["engines"] if entry["median_ms"] is not None]
    return sorted(engines, key=lambda entry: -entry["median_ms"])


def _panel(axes: Any, case: Entry, timed: list[Entry]) -> None:
    medians = [entry["median_ms"] for entry in timed]
    lows, highs = ([entry["spread_ms"][side] for entry in timed] for side in (0, 1))
    below = [median - low for median, low in zip(medians, lows, strict=True)]
    above = [high - median for median, high in zip(medians, highs, strict=True)]
    places = range(len(timed))
    is_ours = [entry["name"] == "netspec" for entry in timed]
    axes.barh(
        places,
        medians,
        xerr=(below, above),
        color=[OURS if ours else PEER for ours in is_ours],
        ecolor="#404040",
        capsize=2,
        height=0.7,
    )
    axes.set_yticks(places, [entry["name"] for entry in timed])
    for label, ours in zip(axes.get_yticklabels(), is_ours, strict=True):
        label.set_fontweight("bold" if ours else "normal")
    for y, high, median in zip(places, highs, medians, strict=True):
        axes.annotate(
            digits(median),
            (high, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    floor = case["floor"]["ms"]
    axes.axvline(floor, color=FLOOR, linestyle="--", linewidth=1.2, zorder=0)
    axes.annotate(
        f"floor {digits(floor)}",
        (floor, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        color=FLOOR,
        ha="center",
        fontsize=9,
    )
    axes.set_xlim(0, 1.12 * max([*highs, floor]))
    axes.set_xlabel("milliseconds per batch")
    axes.set_title(
        f"{case['name']}, batch {case['batch']}, {case['dtype']}", loc="right", fontsize=10
    )
    axes.spines[["top", "right"]].set_visible(False)

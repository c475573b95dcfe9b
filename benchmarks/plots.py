"""Plots of docs/performance.md: layers as shares of their floors, and ratios to peers.

matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.layers import BATCHES, DIRECTIONS, FORWARD, NETS, cases
from benchmarks.results import path_for
from netspec.files.writing import write_whole

Figures = dict[str, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73")
"""Blue, vermilion and green of Okabe and Ito's palette, which all kinds of eyes tell apart."""
DTYPE = "bf16"
WIDE = 8.0
A_LINE = 0.2
AROUND = 1.2
"""Inches."""


def titles(stages: Figures, kernels: Figures | None) -> dict[str, str]:
    """Return the titles of a GPU's plots by file name; only those with figures."""
    gpu = stages["machine"]["gpu"]
    names = {}
    for net, title in NETS.items():
        if kernels and any(shares(net, kernels)):
            name = path_for(gpu, Path(), f"floor-{net}").with_suffix(".svg").name
            names[name] = f"{title}: share of the floor's speed, layer by layer, forward"
    if any(ratios(stages)):
        name = path_for(gpu, Path(), "ratios").with_suffix(".svg").name
        names[name] = "How many times as long as netspec the peers take"
    return names


def draw(stages: Figures, kernels: Figures | None, folder: Path) -> None:
    """Write the plots of a GPU."""
    for name, title in titles(stages, kernels).items():
        net = next((net for net in NETS if name.startswith(f"floor-{net}-")), None)
        points = list(ratios(stages) if net is None else shares(net, kernels or {}))
        write_whole(folder / name, drawn(points, title))


Point = tuple[str, str, float]
"""A line of a plot, what has a colour there, and the value."""


def shares(net: str, kernels: Figures) -> Iterator[Point]:
    """Yield the floor over netspec's time, forward, for each measured layer and batch."""
    for batch in BATCHES:
        for case, names in cases([net], [batch], DIRECTIONS, DTYPE).items():
            entry = kernels["cases"].get(case.key, {})
            median = entry.get("engines", {}).get("netspec", {}).get("median_us")
            if case.direction == FORWARD and median:
                row = names[0].removeprefix(f"{net} ")
                yield row, f"batch {batch}", entry["floor_us"] / median


def ratios(stages: Figures) -> Iterator[Point]:
    """Yield the times of peers over netspec's, for each net and step."""
    for name, stage in stages["stages"].items():
        answer = stage["answer"]
        if name.startswith("nets-"):
            for case in answer["cases"]:
                times = {e["name"]: e["median_ms"] for e in case["engines"] if e["median_ms"]}
                yield from _ratios(f"{case['spec']}, batch {case['batch']}", times)
        if name.startswith("steps-"):
            engines = {"eager": "eager-channels-last", "compile": "inductor"}
            times = {
                engines.get(engine, engine): figures["median_ms"]
                for engine, figures in answer["engines"].items()
                if "median_ms" in figures
            }
            yield from _ratios(f"{answer['net']} step, batch {answer['batch']}", times)


def _ratios(line: str, times: dict[str, float]) -> Iterator[Point]:
    ours = times.pop("netspec", None)
    if ours:
        yield from ((line, peer, time / ours) for peer, time in times.items())


def drawn(points: list[Point], title: str) -> bytes:
    """Return dots on lines, with a line at 1, as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    lines = list(dict.fromkeys(line for line, _, _ in points))
    groups = list(dict.fromkeys(group for _, group, _ in points))
    figure = Figure(figsize=(WIDE, A_LINE * len(lines) + AROUND), layout="constrained")
    axes = figure.subplots()
    for group, colour in zip(groups, COLOURS, strict=False):
        at = [(value, lines.index(line)) for line, of, value in points if of == group]
        axes.plot(*zip(*at, strict=True), "o", color=colour, markersize=4, label=group)
    axes.set_yticks(range(len(lines)), lines, fontsize=8)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.axvline(1, color="#404040", linewidth=0.8, zorder=0)
    axes.grid(axis="y", color="#E0E0E0", linewidth=0.5)
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    written = BytesIO()
    with rc_context({"svg.hashsalt": title}):  # or each drawing differs in its names
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()

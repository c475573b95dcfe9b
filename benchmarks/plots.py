"""Plots of docs/performance.md: times relative to netspec, and layers relative to their floors.

matplotlib is imported only when a plot is drawn: the page's text does not need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.layers import BATCHES, DIRECTIONS, FORWARD, NETS, cases
from benchmarks.results import nets_path, path_for, threads
from netspec.files.writing import write_whole

Figures = dict[str, Any]

STYLES = (("#0072B2", "o"), ("#56B4E9", "s"), ("#009E73", "^"), ("#D55E00", "D"), ("#CC79A7", "v"))
"""Colour and marker of each series. The colours are from the palette of Okabe and Ito, which
colour-blind readers can tell apart; the markers help where the page is printed in grey."""
DTYPE = "bf16"
WIDTH, LINE_HEIGHT, MARGIN = 8.0, 0.28, 1.5
"""Width of a plot, height of one line, and height of title, axis and legend together, in inches."""

TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 20, 50, 100)


def name_of(nets: Figures) -> str:
    """Return the file name of the plot of a CPU's nets."""
    return nets_path(nets["machine"], Path()).with_suffix(".svg").name


def title_of_cpu(nets: Figures) -> str:
    """Return the title of the plot of a CPU's nets."""
    machine = nets["machine"]
    return f"Time per batch relative to netspec, {machine['cpu']}, {threads(machine)}"


def of_cpu(nets: Figures) -> bytes:
    """Return the plot of a CPU's nets as SVG."""
    points = [point for case in nets["cases"] for point in _of_net(case)]
    return drawn(points, title_of_cpu(nets), "time of the engine / time of netspec (log scale)")


def titles(stages: Figures, kernels: Figures | None) -> dict[str, str]:
    """Return the titles of a GPU's plots by file name; a plot without points is omitted."""
    gpu = stages["machine"]["gpu"]
    names = {}
    for net, title in NETS.items():
        if kernels and any(shares(net, kernels)):
            name = path_for(gpu, Path(), f"floor-{net}").with_suffix(".svg").name
            names[name] = f"{title}: share of the floor's speed, layer by layer, forward"
    if any(ratios(stages)):
        name = path_for(gpu, Path(), "ratios").with_suffix(".svg").name
        names[name] = "Time of each engine relative to netspec"
    return names


def draw(stages: Figures, kernels: Figures | None, folder: Path) -> None:
    """Write the plots of a GPU."""
    for name, title in titles(stages, kernels).items():
        net = next((net for net in NETS if name.startswith(f"floor-{net}-")), None)
        points = list(ratios(stages) if net is None else shares(net, kernels or {}))
        axis = "time of the engine / time of netspec" if net is None else "floor / time"
        write_whole(folder / name, drawn(points, title, axis))


Point = tuple[str, str, float]
"""The line of a plot, the series that has a colour of its own, and the value."""


def shares(net: str, kernels: Figures) -> Iterator[Point]:
    """Yield the floor divided by netspec's time, forward, for each measured layer and batch."""
    for batch in BATCHES:
        for case, names in cases([net], [batch], DIRECTIONS, DTYPE).items():
            entry = kernels["cases"].get(case.key, {})
            median = entry.get("engines", {}).get("netspec", {}).get("median_us")
            if case.direction == FORWARD and median:
                row = names[0].removeprefix(f"{net} ")
                yield row, f"batch {batch}", entry["floor_us"] / median


def ratios(stages: Figures) -> Iterator[Point]:
    """Yield the times of peers divided by netspec's, for each timed net; a plan that was measured
    has a line of its own."""
    from benchmarks.gpu.page import cases  # at the top it would be a circle: it imports plots

    for case in cases(stages):
        times = {
            name: engine["median_ms"]
            for name, engine in case["engines"].items()
            if "median_ms" in engine and "disagrees" not in engine
        }
        if case["ours"] in times:
            times["netspec"] = times.pop(case["ours"])
            plan = "" if case["ours"] == "netspec" else ", tuned"
            yield from _ratios(f"{case['spec']}, batch {case['batch']}{plan}", times)


def _of_net(case: Figures) -> Iterator[Point]:
    times = {e["name"]: e["median_ms"] for e in case["engines"] if e["median_ms"]}
    dtype = "" if case["dtype"] == "float32" else f", {case['dtype']}"
    yield from _ratios(f"{case['spec']}, batch {case['batch']}{dtype}", times)


def _ratios(line: str, times: dict[str, float]) -> Iterator[Point]:
    ours = times.pop("netspec", None)
    if ours:
        yield from ((line, peer, time / ours) for peer, time in times.items())


def drawn(points: list[Point], title: str, axis: str) -> bytes:
    """Return the points on one line for each subject, with a vertical line at 1, as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    lines = list(dict.fromkeys(line for line, _, _ in points))
    groups = list(dict.fromkeys(group for _, group, _ in points))
    figure = Figure(figsize=(WIDTH, LINE_HEIGHT * len(lines) + MARGIN), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")  # twice as fast and half as fast are at the same distance from 1
    for group, (colour, marker) in zip(groups, STYLES, strict=False):
        at = [(value, lines.index(line)) for line, of, value in points if of == group]
        axes.plot(
            *zip(*at, strict=True), marker, color=colour, markersize=6, alpha=0.85, label=group
        )
    axes.axvline(1, color="#404040", linewidth=1, zorder=0)
    axes.set_yticks(range(len(lines)), lines, fontsize=9)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    low, high = min(1.0, *(point[2] for point in points)), max(1.0, *(p[2] for p in points))
    ticks = [tick for tick in TICKS if low / 1.1 <= tick <= high * 1.1]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#E0E0E0", linewidth=0.5)
    axes.set_xlabel(axis, fontsize=9)
    axes.set_title(title, fontsize=10)
    figure.legend(loc="outside lower center", ncols=len(groups), fontsize=8, frameon=False)
    written = BytesIO()
    with rc_context({"svg.hashsalt": title}):  # without it, element ids are random in each file
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()

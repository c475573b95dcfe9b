"""A case of ``netspec bench`` as a table: the fastest engine first, or the slowest step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from netspec.ir.words import counted
from netspec.timing.bench import Bench
from netspec.timing.verdict import NOTICED
from netspec.views import profile
from netspec.views.profile import Layer

Entry = dict[str, Any]
Style = Callable[[str, str], str]
"""Return a text with the style of a role: ``strong``, ``quiet``, ``error`` or ``note``."""

HEADS = ("engine", "version", "ms", "quartiles", "cpu ms", "ratio", "compile s", "peak MB")
WIDTHS = (19, 10, 8, 16, 8, 7, 9, 7)
LONGEST = 96


def as_text(bench: Bench) -> str:
    """Return what ``netspec bench`` prints, without colours."""
    return "\n".join(as_lines(bench.results, lambda text, role: text))


def as_json(bench: Bench) -> Entry:
    """Return what ``netspec bench --json`` prints."""
    return bench.results


def as_lines(answer: Entry, style: Style) -> Iterator[str]:
    """Yield lines: the machine, then every case."""
    floor = answer["floor"]
    yield described(answer["machine"])
    yield (
        f"rates: {floor['gflop_per_s']:,.0f} GFLOP/s in {floor['dtype']} products, "
        f"{floor['copy_gb_per_s']:,.1f} GB/s of memory"
    )
    for case in answer["cases"]:
        yield ""
        yield from case_lines(case, style)


def described(machine: Entry) -> str:
    """Return the name of the GPU or, without one, of the processor."""
    if "gpu" in machine:
        return f"{machine['gpu']}, driver {machine['driver']}, PyTorch {machine['torch']}"
    threads = counted(machine["threads"], "thread")
    return f"{machine['cpu']}, {threads}, {machine['instructions']}"


def case_lines(case: Entry, style: Style) -> Iterator[str]:
    """Yield the lines of a case: engines by time, the floor, engines without times, the verdict."""
    yield _title(case, style)
    if "layers" in case:
        yield from _layers(case, style)
        return
    timed = sorted(
        (e for e in case["engines"] if e["median_ms"] is not None), key=lambda e: e["median_ms"]
    )
    ours = next((e["median_ms"] for e in timed if e["name"] == "netspec"), None)
    yield style(_row(HEADS), "quiet")
    for entry in timed:
        yield _engine(entry, None if case["ratio"] is None else entry["median_ms"] / ours, style)
    yield _floor(case["floor"], None if case["ratio"] is None else ours)
    for entry in case["engines"]:
        room = LONGEST - len(f"{entry['name']}: ")  # colours take none
        if entry["error"]:
            yield f"{style(entry['name'], 'error')}: {entry['error'][:room]}"
        elif entry["peak_error"]:
            yield f"{style(entry['name'], 'note')}: {entry['peak_error'][:room]}"
        if entry.get("note"):
            yield f"{style(entry['name'], 'note')}: {entry['note']}"
    yield from _verdict(case, style)


def _title(case: Entry, style: Style) -> str:
    rounds = counted(case["rounds"], "round")
    title = f"batch {case['batch']}, {case['dtype']}, {rounds}"
    return f"{style(case['name'], 'strong')}  {title}"


def _layers(case: Entry, style: Style) -> Iterator[str]:
    """Yield the steps of the compiled net, slowest first."""
    keys = ("stage", "implementation", "median_ms", "gflop", "megabytes", "floor_ms")
    layers = [Layer(*(entry[key] for key in keys)) for entry in case["layers"]]
    yield from profile.as_lines(layers, style)
    yield from others(case["others"], style)


def others(share: float | None, style: Style) -> Iterator[str]:
    """Yield a note if other processes used so much of the processors that times are unreliable."""
    if share is not None and share > NOTICED:
        message = f"other processes used {share:.0%} of the processors during the measurement"
        yield f"{style('note', 'note')}: {message}"


def _row(cells: tuple[str, ...]) -> str:
    left = (f"{cell:<{width}}" for cell, width in zip(cells[:2], WIDTHS[:2], strict=True))
    right = (f"{cell:>{width}}" for cell, width in zip(cells[2:], WIDTHS[2:], strict=True))
    return "  ".join([*left, *right]).rstrip()


def _engine(entry: Entry, ratio: float | None, style: Style) -> str:
    low, high = (digits(value) for value in entry["spread_ms"])
    peak = "" if entry["peak_mb"] is None else f"{entry['peak_mb']:,.0f}"
    cells = (
        entry["name"],
        entry["version"] or "",
        digits(entry["median_ms"]),
        f"{low} to {high}",
        digits(entry["cpu_ms"]),
        "" if ratio is None or entry["name"] == "netspec" else times(ratio),
        f"{entry['compile_s']:.1f}",
        peak,
    )
    row = _row(cells)
    if entry["name"] == "netspec":
        return style(row, "strong")
    if ratio is None:
        return row
    start = sum(WIDTHS[:5]) + 2 * 5
    end = start + WIDTHS[5]
    return row[:start] + style(row[start:end], "strong") + row[end:]


def _floor(floor: Entry, ours: float | None) -> str:
    reason = (
        f"{digits(floor['gflop'])} GFLOP at {digits(floor['gflop_per_s'])} GFLOP/s"
        if floor["compute_ms"] >= floor["weights_ms"]
        else f"{digits(floor['weights_mb'])} MB weights at {digits(floor['copy_gb_per_s'])} GB/s"
    )
    ratio = "" if ours is None else times(floor["ms"] / ours)
    width = WIDTHS[0] + 2 + WIDTHS[1] + 2 + WIDTHS[2]  # the reason may be wider than two columns
    time = digits(floor["ms"])
    first = f"{'floor: ' + reason:<{width - len(time)}}{time}"
    return f"{first}  {'':>{WIDTHS[3] + 2 + WIDTHS[4]}}  {ratio:>{WIDTHS[5]}}".rstrip()


def _verdict(case: Entry, style: Style) -> Iterator[str]:
    """Yield the ratio, or the reason why there is none and what to do."""
    if case["ratio"] is not None:
        yield _ratio(case, style)
        return
    yield f"{style('no ratio', 'note')}: {case['ratio_error']}"
    timed = {entry["name"] for entry in case["engines"] if entry["median_ms"] is not None}
    if case["best_peer"] is not None and "netspec" in timed:
        yield (
            "Run it again with 15 rounds or more on a machine that does nothing else, or compare "
            "one thread:"
        )
        yield "OMP_NUM_THREADS=1 netspec bench ...; other processes change cpu ms less than ms."


def _ratio(case: Entry, style: Style) -> str:
    ratio = style(times(case["ratio"]), "strong")
    verdict = f"netspec is {ratio} as fast as the best peer, {case['best_peer']}"
    compared = (e for e in case["engines"] if e.get("allowed") is not None)
    wrong = ", ".join(e["name"] for e in compared if e["error"] and e["name"] != "netspec")
    may = "; an engine whose outputs are wrong may be faster: "
    return f"{verdict}{may}{wrong}" if wrong else verdict


def digits(value: float) -> str:
    """Return a number with three significant digits: 0.0671 and 1,532."""
    if value >= 100:
        return f"{value:,.0f}"
    decimals = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def times(ratio: float) -> str:
    """Return a ratio as text, such as 1.08× and 0.003×."""
    return f"{ratio:.2f}×" if ratio >= 0.1 else f"{ratio:.1g}×"

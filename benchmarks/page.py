"""Sections of docs/performance.md: nets on a CPU, LRN, accuracy, loading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from math import exp, fsum, log
from typing import Any

from benchmarks import plots
from benchmarks.results import threads
from netspec.timing import PEERS

OURS = "netspec"
NOTHING = "–"
"""The cell of a figure that was not measured."""

Figures = dict[str, Any]
"""The content of one file of results."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def number(value: float) -> str:
    """Return a number with three significant digits."""
    if value < 1e-3:
        return "<0.001"
    value = float(f"{value:.3g}") if value < 1000 else value
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - int(f'{value:e}'.split('e')[1]))}f}"


NETS_INTRODUCTION = """\
## Whole nets on a CPU

`OMP_NUM_THREADS=1 python benchmarks/nets.py`, and the same with 2, run `netspec bench`: all engines
in one process, in turns, with the same weights and images ([bench.md](bench.md) describes the
method). Times are medians in milliseconds per batch, for netspec and the best peer with quartiles.
**ratio** is the time of the best peer divided by netspec's: above 1, netspec is faster; – means
that the machine was not quiet. "overlap" means that the quartiles of the two overlap: the
difference may be noise. **earlier** is the ratio that another process measured before, with the
time between the two, in which the code may have changed. **floor** is the least time at the rates
of the same run ([definition](bench.md#the-floor)). **MB** is the peak memory of netspec, and of
eager PyTorch in brackets. A table does not show the effect of changes after its date.
"""


def summary(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield one sentence on the results of each CPU and type, and a plot of each CPU."""
    for figures in measured:
        machine = figures["machine"]
        ranked = [case for case in figures["cases"] if case["ratio"] is not None]
        for dtype in dict.fromkeys(case["dtype"] for case in ranked):
            cases = [case for case in ranked if case["dtype"] == dtype]
            ratios = [case["ratio"] for case in cases]
            mean = exp(fsum(map(log, ratios)) / len(ratios))
            peers = max(len(case["engines"]) for case in cases) - 1
            yield (
                f"On {machine['cpu']} with {threads(machine)}, netspec runs a batch at "
                f"{min(ratios):.2f} to {max(ratios):.2f} times the speed of the fastest of "
                f"{peers} other engines (geometric mean {mean:.2f}, {len(cases)} cases, "
                f"{dtype}, {figures['date']}). In {sum(map(is_clear, cases))} of the {len(cases)} "
                "cases the difference is larger than the noise: the quartiles do not overlap.\n"
            )
        if ranked:
            yield f"![{plots.title_of_cpu(figures)}](images/{plots.name_of(figures)})\n"


def is_clear(case: Figures) -> bool:
    """Return True if the quartiles of netspec and of the best peer do not overlap."""
    engines = {entry["name"]: entry for entry in case["engines"]}
    (low, high), (peer_low, peer_high) = (
        engines[name]["spread_ms"] for name in (OURS, case["best_peer"])
    )
    return bool(high < peer_low or peer_high < low)


def whole_nets(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield a table for each CPU."""
    heads = ["net", "type", "batch", OURS, *PEERS, "floor", "ratio", "earlier", "MB"]
    if measured:
        yield NETS_INTRODUCTION
    for figures in measured:
        machine = figures["machine"]
        versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name != "cpu")
        yield (
            f"{machine['cpu']}, measured on {figures['date']}: "
            f"{versions}{of_peers(figures['cases'])}.\n"
        )
        yield from table(heads, map(net_row, figures["cases"]))
        if any(is_estimate(case["floor"]) for case in figures["cases"]):
            yield FLOORS_CHANGED
    if measured:
        yield BEHIND


BEHIND = """\
Where netspec is hardly ahead, the layers say why (`netspec bench NET --layers`, 2026-11-30, one
thread). On AMD EPYC, measured before first convolutions read adjacent pixels as one:

- MobileNetV1 in float32 at a batch of 1: the 1x1 convolutions that take longest run at 96 to
  100 % of the floor.
- SqueezeNet 1.1 in float32 at a batch of 1: `conv10` takes 25 % of the time, at 97 % of the floor.
  The 3x3 convolutions take 44 %: four with Winograd's method, at 62 to 75 % of the floor, and
  those of 13x13 maps without it, because launches and weights would take longer by its estimate.
  Concatenations take 4 %.
- bfloat16: convolutions are those of oneDNN, as OpenVINO's are. Winograd's method needs the
  precision of float32. DenseNet-121 copies 58 concatenations.

On the Intel Xeon netspec is behind ONNX Runtime in two nets, in float32 at a batch of 1:

- SqueezeNet 1.1, 0.93 times as fast: concatenations take 8 % of the steps, `conv10`
  20 % at 88 % of the floor, 3x3 convolutions 42 % at 43 to 55 %. Winograd's method saves no time
  there. 0.3 ms are spent outside of the steps.
- ResNet-50, 0.98 times as fast: the convolutions of 7x7 maps take 24 % of the time,
  at 31 to 63 % of the floor: their 60 MB of weights come from memory at 4 to 6 GB/s.
"""

FLOORS_CHANGED = """\
A missing floor (–) was not measured again after the definition of the floor changed.
"""


def is_estimate(floor: Figures) -> bool:
    """Return True for a floor of older results, which engines could be faster than."""
    return "cache_mb" not in floor


def net_row(case: Figures) -> list[str]:
    """Return the row of a case; a cell without a time says why."""
    engines = {entry["name"]: entry for entry in case["engines"]}
    best = case["best_peer"]
    times = [
        NOTHING
        if name not in engines
        else with_quartiles(engines[name])
        if name in (OURS, best)
        else median(engines[name])
        for name in (OURS, *PEERS)
    ]
    ratio = NOTHING
    if case["ratio"] is not None:
        ratio = f"{case['ratio']:.2f}×{'' if is_clear(case) else ' (overlap)'}"
    floor = NOTHING if is_estimate(case["floor"]) else number(case["floor"]["ms"])
    net = [case["spec"], case["dtype"], str(case["batch"])]
    return [*net, *times, floor, ratio, earlier(case), memory(engines)]


def earlier(case: Figures) -> str:
    """Return the ratio of the measurement before, and the time between the two."""
    before = case.get("earlier", {})
    if before.get("ratio") is None or before["measured_at"] is None:
        return NOTHING
    first, second = (datetime.fromisoformat(one["measured_at"]) for one in (before, case))
    return f"{before['ratio']:.2f}× ({(second - first).total_seconds() / 3600:.1f} h)"


def memory(engines: dict[str, Figures]) -> str:
    """Return the peak memory of netspec, and that of eager PyTorch in brackets."""
    ours, eager = (engines.get(name, {}).get("peak_mb") for name in (OURS, "eager"))
    if ours is None:
        return NOTHING
    return f"{ours:,.0f}" if eager is None else f"{ours:,.0f} ({eager:,.0f})"


def with_quartiles(entry: Figures) -> str:
    """Return the median time and the quartiles of an engine, or the reason why there are none."""
    if entry["error"] is not None:
        return median(entry)
    low, high = map(number, entry["spread_ms"])
    return f"{median(entry)} ({low} to {high})"


def median(entry: Figures) -> str:
    """Return the median time of an engine, or the reason why there is none."""
    why = entry["error"]
    if why is None:
        return number(entry["median_ms"])
    if why.startswith("not installed"):
        return NOTHING
    return "disagrees" if why.startswith("disagrees") else "failed"


def of_peers(cases: Sequence[Figures]) -> str:
    """Return the versions of netspec and of the engines that are not part of PyTorch."""
    versions = {entry["name"]: entry["version"] for case in cases for entry in case["engines"]}
    known = [name for name in (OURS, *PEERS[-2:]) if versions.get(name)]
    return "".join(f", {name} {versions[name]}" for name in known)


LRN_INTRODUCTION = """\
## LRN on a CPU

`python benchmarks/lrn.py`: the CPU backend's LRN and `F.local_response_norm`, in float32. Times are
medians in milliseconds; **ratio** is the faster of PyTorch's two times divided by netspec's.
"""


def lrn_tables(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield a table for each machine."""
    heads = ["net", "stage", "size", "batch", "netspec", "torch", "torch channels-last", "ratio"]
    if measured:
        yield LRN_INTRODUCTION
    for figures in measured:
        rows = (
            [
                *(str(case[key]) for key in ("net", "stage", "size", "batch")),
                *(number(case[f"{key}_ms"]) for key in heads[4:7]),
                f"{case['ratio']:.1f}×",
            ]
            for case in figures["cases"]
        )
        yield from machine_table(figures, heads, rows)


ACCURACY_INTRODUCTION = """\
## Difference from float64

`python benchmarks/accuracy.py`: the relative L2 error of the logits against float64, in float32,
for the worst of 32 random images. **allowed** is the largest error that rounding explains.
"""


WEIGHTS_CHANGED = "2026-11-29"
"""The day on which `netspec bench` began to scale weights such that activations are of order one
(``netspec.timing.scales``).  Errors that were measured before are of other weights."""


def accuracy_tables(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield a table for each machine."""
    heads = ["net", "netspec", "eager", "allowed"]
    if measured:
        yield ACCURACY_INTRODUCTION
    for figures in measured:
        rows = (
            [case["net"], *(f"{case[key]:.1e}" for key in heads[1:])] for case in figures["cases"]
        )
        yield from machine_table(figures, heads, rows)
        if figures["date"] < WEIGHTS_CHANGED:
            yield (
                f"These errors are of the random weights before {WEIGHTS_CHANGED}, which were not "
                "scaled; they have not been measured again with the current weights.\n"
            )


LOADING_INTRODUCTION = """\
## Loading an artifact

`python benchmarks/loading.py`, in new processes that have imported PyTorch: `import netspec`, then
`netspec.load_artifact` with the imports that it needs. Times are in milliseconds: medians, and the
slowest total. The files are in the page cache. [artifact.md](artifact.md) describes the steps.
"""


def loading_tables(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield a table for each machine."""
    heads = ["net", "MB", "import", "load", "together", "slowest", "processes"]
    if measured:
        yield LOADING_INTRODUCTION
    for figures in measured:
        rows = (
            [
                case["net"],
                number(case["bytes"] / 1e6),
                *(number(case[f"{key}_ms"]) for key in heads[2:6]),
                str(case["processes"]),
            ]
            for case in figures["cases"]
        )
        yield from machine_table(figures, heads, rows)


def machine_table(
    figures: Figures, heads: Sequence[str], rows: Iterable[Sequence[str]]
) -> Iterator[str]:
    """Yield the machine, the date and the versions, then the table."""
    machine = figures["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name != "cpu")
    yield f"{machine['cpu']}, measured on {figures['date']}: {versions}.\n"
    yield from table(list(heads), rows)

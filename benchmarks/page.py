"""Tables of docs/performance.md: whole nets, stages of a GPU, parts of the CPU, loading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks import plots
from benchmarks.nets import PLAN
from netspec.timing import DEVICES, PEERS

OURS = "netspec"
STEPS = (OURS, "eager", "compile")
NOTHING = "not measured"

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

What `python benchmarks/nets.py` measured: `netspec bench` in float32, in one process, in turns,
with the same weights and images; [bench.md](bench.md) says how. Times are medians of a batch in
milliseconds; **ratio** is the best peer's over netspec's: above 1, netspec is faster. **floor** is
the larger of two times: that of the multiply-accumulates at the machine's own rate of matrix
products, and that of the weights at its copy bandwidth, both measured in the same run.
"""


def whole_nets(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield a table per machine; without any, an empty one that says so."""
    yield NETS_INTRODUCTION
    heads = ["net", "batch", OURS, *PEERS, "floor", "best peer", "ratio"]
    cases = [(net, batch) for net, batches in PLAN.items() for batch in batches]
    for figures in measured or [{"cases": []}]:
        if "machine" in figures:
            machine = figures["machine"]
            versions = ", ".join(f"{name} {value}" for name, value in machine.items())
            yield f"### {machine['cpu']}\n"
            yield f"Measured on {figures['date']}: {versions}{of_peers(figures['cases'])}.\n"
        by_case = {(case["spec"], case["batch"]): case for case in figures["cases"]}
        yield from table(heads, (net_row(*case, by_case.get(case)) for case in cases))


def net_row(net: str, batch: int, case: Figures | None, peers: Sequence[str] = PEERS) -> list[str]:
    """Return the row of a case; cells without a time say why."""
    if case is None:
        return [net, str(batch), *[NOTHING] * (len(peers) + 4)]
    engines = {entry["name"]: entry for entry in case["engines"]}
    medians = [median(engines[name]) for name in (OURS, *peers)]
    ratio = NOTHING if case["ratio"] is None else f"{case['ratio']:.2f}×"
    best = case["best_peer"] or NOTHING
    return [net, str(batch), *medians, number(case["floor"]["ms"]), best, ratio]


def median(entry: Figures) -> str:
    """Return the median time of an engine; or why it has none."""
    why = entry["error"]
    if why is None:
        return number(entry["median_ms"])
    if why.startswith("not installed"):
        return NOTHING
    return "disagrees" if why.startswith("disagrees") else "failed"


def of_peers(cases: Sequence[Figures]) -> str:
    """Return the versions of the engines that have one of their own."""
    versions = {entry["name"]: entry["version"] for case in cases for entry in case["engines"]}
    known = [name for name in (OURS, *PEERS[-2:]) if versions.get(name)]
    return "".join(f", {name} {versions[name]}" for name in known)


GPU_INTRODUCTION = """\
## Whole nets on a GPU

What `make gpu` measured in bf16: `netspec bench --device cuda`, as [bench.md](bench.md) says, and
whole training steps by `benchmarks/steps.py`: forward, backward and SGD on images that are on the
GPU already, each replayed as a CUDA graph. `inductor` and `compile` are `torch.compile` at its
maximum of tuning. Times are medians of a batch in milliseconds; **ratio** is the best peer's over
netspec's.
"""


def stages(measured: Sequence[Figures], kernels: Sequence[Figures]) -> Iterator[str]:
    """Yield a section per GPU: nets, steps, tests and plots; without any, a note that says so."""
    yield GPU_INTRODUCTION
    yield "" if measured else f"({NOTHING})\n"
    layers = {figures["machine"]["gpu"]: figures for figures in kernels}
    for figures in measured:
        machine, answers = figures["machine"], answers_of(figures)
        yield f"### {machine['gpu']}\n"
        versions = ", ".join(f"{name} {value}" for name, value in machine.items())
        dates = sorted(stage["date"] for stage in figures["stages"].values())
        yield f"Measured from {dates[0]} to {dates[-1]}: {versions}.\n"
        peers = DEVICES["cuda"]
        heads = ["net", "batch", OURS, *peers, "floor", "best peer", "ratio"]
        cases = [
            case for name in answers if name.startswith("nets-") for case in answers[name]["cases"]
        ]
        rows = (net_row(case["spec"], case["batch"], case, peers) for case in cases)
        yield from table(heads, rows)
        heads = ["training step", "batch", *STEPS, "floor", "ratio"]
        steps = [answers[name] for name in answers if name.startswith("steps-")]
        yield from table(heads, map(step_row, steps))
        tests = ([name, answers[name]] for name in answers if name.startswith("test-"))
        yield from table(["tests", "outcome"], tests)
        for name, title in plots.titles(figures, layers.get(machine["gpu"])).items():
            yield f"![{title}](images/{name})\n"


def answers_of(figures: Figures) -> dict[str, Any]:
    """Return the answer of each stage, in the order of the stages."""
    return {name: stage["answer"] for name, stage in figures["stages"].items()}


def step_row(case: Figures) -> list[str]:
    """Return the row of the training steps of a net at a batch."""
    engines = case["engines"]
    cells = [median({"error": None} | engines[name]) for name in STEPS]
    times = {name: e["median_ms"] for name, e in engines.items() if "median_ms" in e}
    ours = times.pop(OURS, None)
    ratio = f"{min(times.values()) / ours:.2f}×" if ours and times else NOTHING
    return [case["net"], str(case["batch"]), *cells, number(case["floor_ms"]), ratio]


LRN_INTRODUCTION = """\
## LRN on a CPU

What `python benchmarks/lrn.py` measured: the CPU backend's LRN beside `F.local_response_norm`, in
float32. Times are medians in milliseconds; **ratio** is the better of PyTorch's over netspec's.
"""


ACCURACY_INTRODUCTION = """\
## How far from float64

What `python benchmarks/accuracy.py` found: the relative L2 error of what goes into the softmax, of
the worst of 32 random images in float32, beside what rounding explains.
"""


def small_tables(lrn: Sequence[Figures], accuracy: Sequence[Figures]) -> Iterator[str]:
    """Yield a table per machine for each of the two; without any, a note that says so."""
    yield LRN_INTRODUCTION
    heads = ["net", "stage", "size", "batch", "netspec", "torch", "torch channels-last", "ratio"]
    for figures in lrn:
        rows = (
            [
                *(str(case[key]) for key in ("net", "stage", "size", "batch")),
                *(number(case[f"{key}_ms"]) for key in heads[4:7]),
                f"{case['ratio']:.1f}×",
            ]
            for case in figures["cases"]
        )
        yield from machine_table(figures, heads, rows)
    yield "" if lrn else f"({NOTHING})\n"
    yield ACCURACY_INTRODUCTION
    heads = ["net", "netspec", "eager", "allowed"]
    for figures in accuracy:
        rows = (
            [case["net"], *(f"{case[key]:.1e}" for key in heads[1:])] for case in figures["cases"]
        )
        yield from machine_table(figures, heads, rows)
    yield "" if accuracy else f"({NOTHING})\n"


LOADING_INTRODUCTION = """\
## Loading an artifact

What `python benchmarks/loading.py` measured, in fresh processes that have imported PyTorch:
`import netspec`, and `netspec.load_artifact`, with the imports that it needs. Medians in
milliseconds, and the slowest; files are in the page cache. [artifact.md](artifact.md) says what it
does.
"""


def loading_tables(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield a table per machine; without any, a note that says so."""
    yield LOADING_INTRODUCTION
    heads = ["net", "MB", "import", "load", "together", "slowest", "processes"]
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
    yield "" if measured else f"({NOTHING})\n"


def machine_table(
    figures: Figures, heads: Sequence[str], rows: Iterable[Sequence[str]]
) -> Iterator[str]:
    """Yield a table under the name of the machine, its versions and the date."""
    machine = figures["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine.items())
    yield f"### {machine['cpu']}\n"
    yield f"Measured on {figures['date']}: {versions}.\n"
    yield from table(list(heads), rows)

"""Write docs/performance.md from what benchmarks/results holds: python docs/performance.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from math import exp, fsum, log
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks import plots
from benchmarks.layers import (
    BATCHES,
    DIRECTIONS,
    FORWARD,
    INPUT_GRADIENT,
    NETS,
    WEIGHT_GRADIENT,
    WITH_INDEX,
    Case,
    Machine,
    cases,
    planned,
)
from benchmarks.nets import PLAN
from netspec.bench import DEVICES, PEERS

OURS = "netspec"
PAGE = Path(__file__).parent / "performance.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
DTYPE = "bf16"
STEPS = (OURS, "eager", "compile")
NOTHING = "not measured"

Figures = dict[str, Any]
"""What one file of results holds."""


INTRODUCTION = """\
# How fast the kernels are

Every layer of AlexNet, VGG16 and GoogLeNet as `benchmarks/kernels.py` times it, in bf16, beside
eager PyTorch (channels-last, `cudnn.benchmark`), `torch.compile` at its maximum of tuning and, for
convolutions, the bare cuDNN convolution without bias and ReLU. This page is written by
`python docs/performance.py` from the files in `benchmarks/results/`, and a test compares the two.
What no file has a figure for is "not measured".

- **MB** have to move: operands read once, results written once. **GFLOP** count a multiply-add as
  two, a power as one.
- **floor** = max(bytes / copy bandwidth, operations / rate of matrix products): what reads from
  memory and multiplies on tensor cores goes no lower. Times are in microseconds.
- Three numbers in a cell are batches of 1, 32 and 256 images.
- Every engine replays a CUDA graph, over operands that rotate through twice the L2 cache. For
  `torch.compile` that stands in place of its own graph, which would copy each operand into place.
- PyTorch gets the zeros that AlexNet's C1 needs below and to the right for free; it has no groups
  in its LRN, so that AlexNet's is two of them and a concatenation.
"""


class Goal(NamedTuple):
    """Something to reach: a share of the floor's speed, or a multiple of a peer's."""

    text: str
    kind: str
    direction: str
    peer: str = "floor"
    first_only: bool = False


GOALS = (
    Goal(
        "conv+bias+ReLU ≥ 1.0× bare cuDNN conv (geometric mean), none below 0.98×",
        "conv",
        FORWARD,
        "bare",
    ),
    Goal("conv+bias+ReLU ≥ 1.5× eager conv+bias+ReLU", "conv", FORWARD, "eager"),
    Goal("first layer ≥ 2× bare cuDNN conv", "conv", FORWARD, "bare", first_only=True),
    Goal("conv input gradient ≥ 0.95× cuDNN", "conv", INPUT_GRADIENT, "bare"),
    Goal("conv weight gradient ≥ 0.95× cuDNN", "conv", WEIGHT_GRADIENT, "bare"),
    Goal("LRN forward ≥ 88 % of copy bandwidth, at 4 bytes an element", "lrn", FORWARD),
    Goal("LRN forward ≥ 9× eager", "lrn", FORWARD, "eager"),
    Goal("LRN backward ≥ 85 %, at 6 bytes", "lrn", INPUT_GRADIENT),
    Goal("LRN+pool ≥ 80 %, at 2.5 bytes", "lrn_maxpool", FORWARD),
    Goal("max-pool forward ≥ 85 %", "maxpool", FORWARD),
    Goal("max-pool forward with index ≥ 85 %", "maxpool", WITH_INDEX),
    Goal("max-pool backward ≥ 80 %", "maxpool", INPUT_GRADIENT),
    Goal("max-pool backward ≥ 3× eager", "maxpool", INPUT_GRADIENT, "eager"),
    Goal("max-pool backward bitwise reproducible", "maxpool", INPUT_GRADIENT, "itself"),
)
COLUMNS = {
    "netspec": "netspec",
    "bare": "bare conv",
    "eager": "eager",
    "compile": "torch.compile",
}


# -------------------------------------------------------------------------------------------- page


def load(folder: Path = RESULTS, what: str = "kernels") -> list[Figures]:
    """The results of every processor that there are any of."""
    found = sorted(folder.glob(f"{what}-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def page(
    measured: Sequence[Figures],
    nets: Sequence[Figures] = (),
    lrn: Sequence[Figures] = (),
    accuracy: Sequence[Figures] = (),
    loading: Sequence[Figures] = (),
) -> str:
    """The whole page, from the results of any number of machines."""
    parts = [INTRODUCTION]
    for figures in measured:
        parts += section(figures)
    if not measured:
        parts += section({"cases": {}})
    parts += whole_nets(nets)
    return "\n".join([*parts, *small_tables(lrn, accuracy), *loading_tables(loading)])


def section(figures: Figures) -> Iterator[str]:
    """One machine: its name, the goals, and a table a net."""
    machine = machine_of(figures)
    yield f"## {machine.name}\n"
    yield f"{described(figures, machine)}\n"
    yield "### Goals\n"
    yield (
        "How many times as fast as the peer, or what share of the floor's speed: the geometric "
        "mean over the layers, the slowest, and how many of the layers were measured.\n"
    )
    yield from table(
        ["goal", *(f"batch {batch}" for batch in BATCHES)],
        ([goal.text, *(reached(goal, figures, batch) for batch in BATCHES)] for goal in GOALS),
    )
    for net, title in NETS.items():
        yield f"### {title}\n"
        heads = ["layer", "rows", "direction", "MB", "GFLOP", "floor"]
        yield from table([*heads, *COLUMNS.values()], rows_of(net, figures, machine))


def machine_of(figures: Figures) -> Machine:
    """The machine that was measured, or, where none was, the one that plans are made for."""
    found = figures.get("constants", {}).get(DTYPE)
    if found is None:
        return planned(DTYPE)
    copy, product = found["copy_bytes_per_second"], found["product_operations_per_second"]
    return Machine(figures["machine"]["gpu"], copy, product)


def described(figures: Figures, machine: Machine) -> str:
    """Where the figures of a section come from."""
    rates = (
        f"{machine.copy / 1e12:.2f} TB/s copied and {machine.product / 1e12:.0f} TFLOP/s of "
        "matrix products"
    )
    if machine == planned(DTYPE):
        return (
            f"No results in {DTYPE} yet. The floors are those of one H200, on which {rates} "
            "were measured once, apart from this benchmark."
        )
    versions = ", ".join(f"{name} {value}" for name, value in figures["machine"].items())
    return f"Measured on {figures['date']}: {versions}. The same run measured {rates}."


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """In Markdown."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


# ------------------------------------------------------------------------------------------ layers


def rows_of(net: str, figures: Figures, machine: Machine) -> Iterator[list[str]]:
    """A line for each layer and direction, all batches in it."""
    for first, names in cases([net], BATCHES[:1], DIRECTIONS, DTYPE).items():
        batches = [first._replace(batch=batch) for batch in BATCHES]
        costs = [case.cost for case in batches]
        yield [
            first.layer.label,
            ", ".join(name.removeprefix(f"{net} ") for name in names),
            first.direction,
            together(number(cost.bytes / 1e6) for cost in costs),
            together(number(cost.operations / 1e9) for cost in costs),
            together(number(machine.floor(cost) * 1e6) for cost in costs),
            *(together(time(figures, case, engine) for case in batches) for engine in COLUMNS),
        ]


def together(cells: Iterable[str]) -> str:
    """Three cells in one; what all of them say is said once."""
    found = list(cells)
    return found[0] if len(set(found)) == 1 else " / ".join(found)


def number(value: float) -> str:
    """Three digits that count."""
    if value < 1e-3:
        return "<0.001"
    value = float(f"{value:.3g}") if value < 1000 else value
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - int(f'{value:e}'.split('e')[1]))}f}"


def time(figures: Figures, case: Case, engine: str) -> str:
    """The median; or why there is none."""
    if engine == "bare" and case.layer.kind != "conv":
        return ""
    result = figures["cases"].get(case.key, {}).get("engines", {}).get(engine, {})
    if "median_us" in result:
        return number(result["median_us"])
    return "disagrees" if "disagrees" in result else "failed" if "error" in result else NOTHING


# ------------------------------------------------------------------------------------------- goals


def reached(goal: Goal, figures: Figures, batch: int) -> str:
    """What was measured of a goal at a batch."""
    wanted = [
        case
        for case in cases(NETS, [batch], [goal.kind], DTYPE)
        if case.direction == goal.direction and case.layer.is_first >= goal.first_only
    ]
    entries = [figures["cases"].get(case.key) for case in wanted]
    found = [
        ratio for entry in entries if entry and (ratio := against(entry, goal.peer)) is not None
    ]
    if not found:
        return NOTHING
    count = f"{len(found)} of {len(wanted)}"
    if goal.peer == "itself":
        return f"{sum(found):.0f}, of {count} measured"
    mean, slowest = exp(fsum(map(log, found)) / len(found)), min(found)
    if goal.peer == "floor":
        return f"{mean:.0%}, slowest {slowest:.0%}, {count}"
    return f"{mean:.2f}×, slowest {slowest:.2f}×, {count}"


def against(entry: Figures, peer: str) -> float | None:
    """The peer's time over netspec's, where both are known; for itself, whether two runs agree."""
    ours = entry["engines"].get("netspec", {})
    if "median_us" not in ours:
        return None
    if peer == "itself":
        return float(ours["is_reproducible"])
    if peer == "floor":
        return float(entry["floor_us"] / ours["median_us"])
    theirs = entry["engines"].get(peer, {})
    return float(theirs["median_us"] / ours["median_us"]) if "median_us" in theirs else None


# --------------------------------------------------------------------------------------- whole nets

NETS_INTRODUCTION = """\
## Whole nets on a CPU

What `python benchmarks/nets.py` measured: `netspec bench` in float32, in one process, in turns,
with the same weights and images; [bench.md](bench.md) says how. Times are medians of a batch in
milliseconds; **ratio** is the best peer's over netspec's: above 1, netspec is faster. **floor** is
the larger of two times: that of the multiply-accumulates at the machine's own rate of matrix
products, and that of the weights at its copy bandwidth, both measured in the same run.
"""


def whole_nets(measured: Sequence[Figures]) -> Iterator[str]:
    """A table a machine; without any, one that says so."""
    yield NETS_INTRODUCTION
    heads = ["net", "batch", OURS, *PEERS, "floor", "best peer", "ratio"]
    cases = [(net, batch) for net, batches in PLAN.items() for batch in batches]
    for figures in measured or [{"cases": []}]:
        if "machine" in figures:
            machine = figures["machine"]
            versions = ", ".join(f"{name} {value}" for name, value in machine.items())
            yield f"### {machine['cpu']}\n"
            yield f"Measured on {figures['date']}: {versions}{of_peers(figures['cases'])}.\n"
        found = {(case["spec"], case["batch"]): case for case in figures["cases"]}
        yield from table(heads, (net_row(*case, found.get(case)) for case in cases))


def net_row(net: str, batch: int, case: Figures | None, peers: Sequence[str] = PEERS) -> list[str]:
    """A case; what was not measured, failed or disagrees says so."""
    if case is None:
        return [net, str(batch), *[NOTHING] * (len(peers) + 4)]
    engines = {entry["name"]: entry for entry in case["engines"]}
    medians = [median(engines[name]) for name in (OURS, *peers)]
    ratio = NOTHING if case["ratio"] is None else f"{case['ratio']:.2f}×"
    best = case["best_peer"] or NOTHING
    return [net, str(batch), *medians, number(case["floor"]["ms"]), best, ratio]


def median(entry: Figures) -> str:
    """Of an engine; or why there is none."""
    why = entry["error"]
    if why is None:
        return number(entry["median_ms"])
    if why.startswith("not installed"):
        return NOTHING
    return "disagrees" if why.startswith("disagrees") else "failed"


def of_peers(cases: Sequence[Figures]) -> str:
    """The versions of the engines that have one of their own."""
    found = {entry["name"]: entry["version"] for case in cases for entry in case["engines"]}
    return "".join(f", {name} {found[name]}" for name in (OURS, *PEERS[-2:]) if found.get(name))


# ---------------------------------------------------------------------------------- stages of a GPU

GPU_INTRODUCTION = """\
## Whole nets on a GPU

What `make gpu` measured in bf16: `netspec bench --device cuda`, as [bench.md](bench.md) says, and
whole training steps by `benchmarks/steps.py`: forward, backward and SGD on images that are on the
GPU already, each replayed as a CUDA graph. `inductor` and `compile` are `torch.compile` at its
maximum of tuning. Times are medians of a batch in milliseconds; **ratio** is the best peer's over
netspec's.
"""


def stages(measured: Sequence[Figures], kernels: Sequence[Figures]) -> Iterator[str]:
    """A section a GPU: nets, steps, tests and plots; without any, a sentence that says so."""
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
    """What each stage found, in the order of the stages."""
    return {name: stage["answer"] for name, stage in figures["stages"].items()}


def step_row(case: Figures) -> list[str]:
    """Training steps of a net at a batch."""
    engines = case["engines"]
    cells = [median({"error": None} | engines[name]) for name in STEPS]
    times = {name: found["median_ms"] for name, found in engines.items() if "median_ms" in found}
    ours = times.pop(OURS, None)
    ratio = f"{min(times.values()) / ours:.2f}×" if ours and times else NOTHING
    return [case["net"], str(case["batch"]), *cells, number(case["floor_ms"]), ratio]


# -------------------------------------------------------------------------------- parts of the CPU

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
    """A table a machine for each of the two; without any, a sentence that says so."""
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
    """A table a machine; without any, a sentence that says so."""
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
    """Under the name of the machine, its versions and the date."""
    machine = figures["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine.items())
    yield f"### {machine['cpu']}\n"
    yield f"Measured on {figures['date']}: {versions}.\n"
    yield from table(list(heads), rows)


def current() -> str:
    """The page of all results that there are."""
    first = page(*(load(what=kind) for kind in ("kernels", "nets", "lrn", "accuracy", "loading")))
    return "\n".join([first, *stages(load(what="gpu"), load())])


if __name__ == "__main__":
    PAGE.write_text(current(), encoding="utf-8")
    layers = {figures["machine"]["gpu"]: figures for figures in load()}
    for figures in load(what="gpu"):
        plots.draw(figures, layers.get(figures["machine"]["gpu"]), PAGE.parent / "images")

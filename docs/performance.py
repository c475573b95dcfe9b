"""Write docs/performance.md from what benchmarks/results holds: python docs/performance.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from math import exp, fsum, log
from pathlib import Path
from typing import NamedTuple

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
    LayerCase,
    Machine,
    cases,
    planned,
)
from benchmarks.page import (
    NOTHING,
    Figures,
    loading_tables,
    number,
    small_tables,
    stages,
    table,
    whole_nets,
)

PAGE = Path(__file__).parent / "performance.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
DTYPE = "bf16"

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
    """A goal: a share of the floor's speed, or a multiple of a peer's."""

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


def load(folder: Path = RESULTS, kind: str = "kernels") -> list[Figures]:
    """Return the results of every processor."""
    paths = sorted(folder.glob(f"{kind}-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def page(
    measured: Sequence[Figures],
    nets: Sequence[Figures] = (),
    lrn: Sequence[Figures] = (),
    accuracy: Sequence[Figures] = (),
    loading: Sequence[Figures] = (),
) -> str:
    """Return the whole page, from the results of any number of machines."""
    parts = [INTRODUCTION]
    for figures in measured:
        parts += section(figures)
    if not measured:
        parts += section({"cases": {}})
    parts += whole_nets(nets)
    return "\n".join([*parts, *small_tables(lrn, accuracy), *loading_tables(loading)])


def section(figures: Figures) -> Iterator[str]:
    """Yield the section of a machine: its name, the goals, and a table per net."""
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
    """Return the measured machine, or the one that plans are made for."""
    constants = figures.get("constants", {}).get(DTYPE)
    if constants is None:
        return planned(DTYPE)
    copy, product = constants["copy_bytes_per_second"], constants["product_operations_per_second"]
    return Machine(figures["machine"]["gpu"], copy, product)


def described(figures: Figures, machine: Machine) -> str:
    """Return a sentence on the source of the figures in a section."""
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


# ------------------------------------------------------------------------------------------ layers


def rows_of(net: str, figures: Figures, machine: Machine) -> Iterator[list[str]]:
    """Yield a line for each layer and direction, with all batches."""
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
    """Return several cells as one; equal ones once."""
    texts = list(cells)
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def time(figures: Figures, case: LayerCase, engine: str) -> str:
    """Return the median; or why it is missing."""
    if engine == "bare" and case.layer.kind != "conv":
        return ""
    result = figures["cases"].get(case.key, {}).get("engines", {}).get(engine, {})
    if "median_us" in result:
        return number(result["median_us"])
    return "disagrees" if "disagrees" in result else "failed" if "error" in result else NOTHING


# ------------------------------------------------------------------------------------------- goals


def reached(goal: Goal, figures: Figures, batch: int) -> str:
    """Return the measured figures of a goal at a batch."""
    chosen = [
        case
        for case in cases(NETS, [batch], [goal.kind], DTYPE)
        if case.direction == goal.direction and case.layer.is_first >= goal.first_only
    ]
    entries = [figures["cases"].get(case.key) for case in chosen]
    ratios = [
        ratio for entry in entries if entry and (ratio := against(entry, goal.peer)) is not None
    ]
    if not ratios:
        return NOTHING
    count = f"{len(ratios)} of {len(chosen)}"
    if goal.peer == "itself":
        return f"{sum(ratios):.0f}, of {count} measured"
    mean, slowest = exp(fsum(map(log, ratios)) / len(ratios)), min(ratios)
    if goal.peer == "floor":
        return f"{mean:.0%}, slowest {slowest:.0%}, {count}"
    return f"{mean:.2f}×, slowest {slowest:.2f}×, {count}"


def against(entry: Figures, peer: str) -> float | None:
    """Return the peer's time over netspec's, if both are known; for itself 1 if two runs agree."""
    ours = entry["engines"].get("netspec", {})
    if "median_us" not in ours:
        return None
    if peer == "itself":
        return float(ours["is_reproducible"])
    if peer == "floor":
        return float(entry["floor_us"] / ours["median_us"])
    theirs = entry["engines"].get(peer, {})
    return float(theirs["median_us"] / ours["median_us"]) if "median_us" in theirs else None


def current() -> str:
    """Return the page of all results."""
    first = page(*(load(kind=kind) for kind in ("kernels", "nets", "lrn", "accuracy", "loading")))
    return "\n".join([first, *stages(load(kind="gpu"), load())])


if __name__ == "__main__":
    PAGE.write_text(current(), encoding="utf-8")
    layers = {figures["machine"]["gpu"]: figures for figures in load()}
    for figures in load(kind="gpu"):
        plots.draw(figures, layers.get(figures["machine"]["gpu"]), PAGE.parent / "images")

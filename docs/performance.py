"""Write docs/performance.md and its plots from benchmarks/results: python docs/performance.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from math import exp, fsum, log
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks import plots
from benchmarks.gpu.page import sections
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
)
from benchmarks.page import (
    NOTHING,
    Figures,
    accuracy_tables,
    loading_tables,
    lrn_tables,
    number,
    summary,
    table,
    whole_nets,
)
from netspec.files.writing import write_whole

PAGE = Path(__file__).parent / "performance.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
DTYPE = "bf16"

TITLE = "# Performance\n"
NOT_MEASURED = """\
Not measured: GPU kernels and nets on a GPU; their bytes, operations and lower bounds on time are in
[kernels.md](kernels.md#lower-bounds).
"""
LAYERS = """\
## Layers on a GPU

Each layer of AlexNet, VGG16 and GoogLeNet in bf16 (`benchmarks/kernels.py`). The peers are eager
PyTorch (channels-last, `cudnn.benchmark`), `torch.compile` with maximum tuning and, for
convolutions, cuDNN's convolution alone, without bias and ReLU.

- **MB** is the minimum traffic: each operand is read once, each result is written once. **GFLOP**
  counts a multiply-add as two operations and a power as one.
- **floor** = max(bytes / copy bandwidth, operations / rate of matrix products), a lower bound on
  the time. Times are medians in microseconds.
- A cell with three numbers is for batches of 1, 32 and 256 images; – means not measured.
- Every engine replays a CUDA graph. Its operands rotate through twice the size of the L2 cache.
  For `torch.compile` this replaces its own graph, which would copy each operand.
- PyTorch does not pay for the padding below and to the right of AlexNet's C1, because the images
  are padded before the clock starts. Its LRN has no groups: AlexNet's is two calls and a
  concatenation.
"""


class Goal(NamedTuple):
    """A goal for a kernel: a share of the floor's speed, or a multiple of a peer's speed."""

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
    Goal("LRN forward ≥ 88 % of copy bandwidth, at 4 bytes per element", "lrn", FORWARD),
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


def load(folder: Path = RESULTS, *, kind: str) -> list[Figures]:
    """Return the results files of a kind, one for each machine."""
    paths = sorted(folder.glob(f"{kind}-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def page(
    *,
    nets: Sequence[Figures] = (),
    lrn: Sequence[Figures] = (),
    accuracy: Sequence[Figures] = (),
    loading: Sequence[Figures] = (),
    kernels: Sequence[Figures] = (),
    gpu: Sequence[Figures] = (),
) -> str:
    """Return the page; each argument is a list of results files of that kind, one per machine."""
    parts = [TITLE, *summary(nets)]
    if not (kernels or gpu):
        parts.append(NOT_MEASURED)
    parts += [*whole_nets(nets), *lrn_tables(lrn), *accuracy_tables(accuracy)]
    parts += [*loading_tables(loading), *sections(gpu, kernels)]
    if kernels:
        parts.append(LAYERS)
    for figures in kernels:
        parts += section(figures)
    return "\n".join(parts)


def section(figures: Figures) -> Iterator[str]:
    """Yield the section of a GPU: its name, the goals, and a table for each net."""
    machine = machine_of(figures)
    versions = ", ".join(f"{name} {value}" for name, value in figures["machine"].items())
    yield f"### {machine.name}: goals\n"
    yield (
        f"Measured on {figures['date']}: {versions}. In the same run a copy moved "
        f"{machine.copy / 1e12:.2f} TB/s and matrix products reached "
        f"{machine.product / 1e12:.0f} TFLOP/s.\n"
    )
    yield (
        "Speed relative to the peer, or to the floor: the geometric mean over the layers, the "
        "slowest layer, and how many layers were measured.\n"
    )
    goals = ([goal.text, *(reached(goal, figures, batch) for batch in BATCHES)] for goal in GOALS)
    yield from table(
        ["goal", *(f"batch {batch}" for batch in BATCHES)],
        (row for row in goals if {*row[1:]} != {NOTHING}),
    )
    for net, title in NETS.items():
        rows = list(rows_of(net, figures, machine))
        if rows:
            yield f"### {machine.name}: {title}\n"
            heads = ["layer", "rows", "direction", "MB", "GFLOP", "floor"]
            yield from table([*heads, *COLUMNS.values()], rows)


def machine_of(figures: Figures) -> Machine:
    """Return the measured GPU with the rates of the same run."""
    constants = figures["constants"][DTYPE]
    copy, product = constants["copy_bytes_per_second"], constants["product_operations_per_second"]
    return Machine(figures["machine"]["gpu"], copy, product)


# ------------------------------------------------------------------------------------------ layers


def rows_of(net: str, figures: Figures, machine: Machine) -> Iterator[list[str]]:
    """Yield a row for each layer and direction that was measured at a batch size or more."""
    for first, names in cases([net], BATCHES[:1], DIRECTIONS, DTYPE).items():
        batches = [first._replace(batch=batch) for batch in BATCHES]
        if not any(case.key in figures["cases"] for case in batches):
            continue
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
    """Join cells by slashes, or return the one value if all are equal."""
    texts = list(cells)
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def time(figures: Figures, case: LayerCase, engine: str) -> str:
    """Return the median time of an engine, or the reason why there is none."""
    if engine == "bare" and case.layer.kind != "conv":
        return ""
    result = figures["cases"].get(case.key, {}).get("engines", {}).get(engine, {})
    if "median_us" in result:
        return number(result["median_us"])
    return "disagrees" if "disagrees" in result else "failed" if "error" in result else NOTHING


# ------------------------------------------------------------------------------------------- goals


def reached(goal: Goal, figures: Figures, batch: int) -> str:
    """Return what was measured for a goal at a batch size."""
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
    """Return the peer's time divided by netspec's, or None if one of them is unknown.

    For the peer "itself", return 1 if two runs of netspec gave the same bits, else 0.
    """
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
    """Return the page of all stored results."""
    kinds = ("nets", "lrn", "accuracy", "loading", "kernels", "gpu")
    return page(**{kind: load(kind=kind) for kind in kinds})


def main() -> None:
    """Write the page and its plots."""
    PAGE.write_text(current(), encoding="utf-8")
    images = PAGE.parent / "images"
    for figures in load(kind="nets"):
        write_whole(images / plots.name_of(figures), plots.of_cpu(figures))
    layers = {figures["machine"]["gpu"]: figures for figures in load(kind="kernels")}
    for figures in load(kind="gpu"):
        plots.draw(figures, layers.get(figures["machine"]["gpu"]), images)


if __name__ == "__main__":
    main()

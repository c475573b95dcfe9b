"""The sections of docs/performance.md on a GPU: what :mod:`benchmarks.gpu.collect` stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks import plots
from benchmarks.page import NOTHING, Figures, number, table

OURS = ("netspec", "netspec-tuned")
PEERS = ("eager-channels-last", "inductor-extern", "inductor-aten", "inductor")

INTRODUCTION = """\
## Nets and kernels on a GPU

`make gpu` measures these in bf16, in a few minutes ([how](../CONTRIBUTING.md#on-a-gpu)). Every
stage and every engine is a process of its own; engines take turns. A figure that was not measured
is shown as –.

- **netspec** has the implementations that the model chooses, **netspec-tuned** the fastest of four
  for each layer. **inductor-extern** is `torch.compile` with cuDNN's convolutions and cuBLAS's
  products, **inductor-aten** also tries its own products, **inductor** also its own convolutions.
- Times are medians in milliseconds per batch. **ratio** is the time of the best peer divided by
  netspec's: above 1, netspec is faster. An engine that disagrees with float64 is shown, but has no
  part in a ratio. A list after the table has the reasons; a peer in it might have been the best.
"""


def sections(measured: Sequence[Figures], kernels: Sequence[Figures] = ()) -> Iterator[str]:
    """Yield a section for each GPU."""
    if measured:
        yield INTRODUCTION
    layers = {figures["machine"]["gpu"]: figures for figures in kernels}
    for figures in measured:
        yield from section(figures, layers.get(figures["machine"]["gpu"]))


def section(figures: Figures, kernels: Figures | None) -> Iterator[str]:
    """Yield the section of a GPU."""
    machine = figures["machine"]
    yield f"### {machine['gpu']}\n"
    names = ("driver", "cuda", "cudnn", "torch", "triton", "python")
    versions = ", ".join(f"{name} {machine[name]}" for name in names if name in machine)
    yield f"Measured on {figures['date']}: {versions}.\n"
    ended = figures["stages"]
    done = [name for name, stage in ended.items() if stage["outcome"] == "done"]
    others = [f"{name} ({stage['outcome']})" for name, stage in ended.items() if name not in done]
    text = f"{len(done)} of {len(ended)} stages are done" + (
        f"; not done: {', '.join(others)}" if others else ""
    )
    yield f"{text}.\n"
    for one in figures["results"]:
        if "skipped" in one:
            yield f"Skipped in `{one['stage']}`: {one['skipped']}.\n"
    for part in (correctness, whole, rates, nets, against, counters, layers):
        yield from part(figures)
    for name, title in plots.titles(figures, kernels).items():
        yield f"![{title}](images/{name})\n"


def results(figures: Figures, *stages: str) -> list[Figures]:
    """Return the results of stages by the first word of their names."""
    return [one for one in figures["results"] if one["stage"].partition("-")[0] in stages]


def outcome(one: Figures) -> str:
    return str(one.get("wrong") or one.get("error") or "right")


def correctness(figures: Figures) -> Iterator[str]:
    """Yield the table of the smoke test by family, and what was wrong."""
    families: dict[str, list[Figures]] = {}
    for one in results(figures, "smoke", "memcheck"):
        if not one["case"].startswith(("part ", "tool")):
            kind = f"{one['case'].partition(';')[0]} ({one['stage']})"
            families.setdefault(kind, []).append(one)
    rows = [
        [
            family,
            str(len(every)),
            str(sum("wrong" in one for one in every)),
            str(sum("error" in one for one in every)),
            largest(one["off"] for one in every if "off" in one),
        ]
        for family, every in families.items()
    ]
    if rows:
        yield (
            "Kernels compared with float64: the largest error in units of the error that rounding "
            "explains.\n"
        )
        yield from table(["family", "cases", "wrong", "raised an error", "largest error"], rows)
    for one in results(figures, "smoke", "memcheck"):
        if "wrong" in one or "error" in one:
            yield f"- `{one['stage']}` {one['case']}: {outcome(one)}"
    if any("wrong" in one or "error" in one for one in results(figures, "smoke", "memcheck")):
        yield ""


def largest(errors: Iterable[float | None]) -> str:
    """Return the largest error; one that is infinite or NaN is stored as null."""
    known = list(errors)
    finite = [error for error in known if error is not None]
    return "not finite" if len(finite) < len(known) else f"{max(finite):.2f}" if finite else NOTHING


def scientific(error: float | None) -> str:
    return "not finite" if error is None else f"{error:.1e}"


def whole(figures: Figures) -> Iterator[str]:
    """Yield the table of nets whose graphs were compared with plain launches."""
    rows = [
        [one["case"], scientific(one["deviation"]), scientific(one["allowed"]), outcome(one)]
        for one in results(figures, "whole")
        if "deviation" in one
    ]
    if rows:
        yield "CUDA graphs against float64, plain launches and 200 replays.\n"
        yield from table(["net", "error", "allowed", "outcome"], rows)


def rates(figures: Figures) -> Iterator[str]:
    """Yield a sentence on the rates of the GPU."""
    for one in results(figures, "floors"):
        for dtype in ("bf16", "fp16"):
            if dtype in one:
                copy = one[dtype]["copy_bytes_per_second"] / 1e12
                product = one[dtype]["product_operations_per_second"] / 1e12
                yield (
                    f"In {dtype} a copy moves {copy:.2f} TB/s, and matrix products reach "
                    f"{product:.0f} TFLOP/s.\n"
                )


def cases(figures: Figures) -> Iterator[Figures]:
    """Yield the timed cases: net, batch, engines by name, netspec's name, best peer and ratio."""
    by_stage: dict[str, list[Figures]] = {}
    for one in results(figures, "nets", "tuned", "maximum"):
        if "engine" in one:
            by_stage.setdefault(one["stage"], []).append(one)
    for every in by_stage.values():
        engines = together(every)
        ours = next((name for name in OURS if name in engines), None)
        peers = {
            name: one["median_ms"]
            for name, one in engines.items()
            if name in PEERS and "median_ms" in one and "disagrees" not in one
        }
        best = min(peers, key=peers.__getitem__, default=None)
        is_right = ours is not None and "disagrees" not in engines[ours]
        time = engines[ours].get("median_ms") if ours and is_right else None
        ratio = peers[best] / time if best and time else None
        first = every[0]
        yield {
            "spec": first["net"], "batch": first["batch"], "engines": engines,
            "ours": ours, "best_peer": best, "ratio": ratio,
        }  # fmt: skip


def together(every: Sequence[Figures]) -> dict[str, Figures]:
    """Return the engines of the run in which the most were timed: a stage can run twice."""
    runs: list[dict[str, Figures]] = [{}]
    for one in every:
        if one["engine"] in runs[-1]:
            runs.append({})
        runs[-1][one["engine"]] = one
    return max(reversed(runs), key=lambda run: sum("median_ms" in one for one in run.values()))


def nets(figures: Figures) -> Iterator[str]:
    """Yield the table of nets, and a list of the engines that failed or disagree."""
    rows, reasons = [], []
    for case in cases(figures):
        cells = [cell(case["engines"].get(name)) for name in (*OURS, *PEERS)]
        ratio = NOTHING if case["ratio"] is None else f"{case['ratio']:.2f}×"
        rows.append([case["spec"], str(case["batch"]), *cells, case["best_peer"] or NOTHING, ratio])
        for name, one in case["engines"].items():
            if why := one.get("error") or one.get("disagrees"):
                reasons.append(f"- {case['spec']}, batch {case['batch']}, {name}: {why}")
    if rows:
        yield from table(["net", "batch", *OURS, *PEERS, "best peer", "ratio"], rows)
    yield from [*reasons, ""] if reasons else []


def cell(engine: Figures | None) -> str:
    """Return the time of an engine, or why there is none."""
    if engine is None:
        return NOTHING
    if "median_ms" not in engine:
        return "failed"
    return number(engine["median_ms"]) + (" (disagrees)" if "disagrees" in engine else "")


def against(figures: Figures) -> Iterator[str]:
    """Yield the table of layers: the times of each library, of the chosen kernel, and of the
    fastest other tile, as each layer has different tiles."""
    every = [one for one in results(figures, "against") if "us" in one]
    named = list(dict.fromkeys(way for one in every for way in one["us"] if "-" not in way))
    rows = []
    for one in every:
        tiles = {way: us for way, us in one["us"].items() if "-" in way}
        timed = {way: us for way, us in tiles.items() if not isinstance(us, str)}
        best = min(timed, key=timed.__getitem__, default=NOTHING)
        failed = f", {len(tiles) - len(timed)} failed" if len(timed) < len(tiles) else ""
        times = [*(one["us"].get(way) for way in named), timed.get(best)]
        rows.append([one["case"], *map(time, times), best + failed])
    if rows:
        yield "Layers by each implementation, in microseconds.\n"
        yield from table(["layer", *named, "other tiles", "fastest of them"], rows)


def time(outcome: Any) -> str:
    if outcome is None:
        return NOTHING
    return "failed" if isinstance(outcome, str) else number(outcome)


def counters(figures: Figures) -> Iterator[str]:
    """Yield the table of hardware counters, as Nsight Compute wrote them."""
    kernels = [
        (one["case"], kernel)
        for one in results(figures, "counters")
        for kernel in one.get("kernels", [])
    ]
    heads: dict[str, None] = {}
    for _, kernel in kernels:
        heads |= dict.fromkeys(kernel)
    rows = [[case, *(kernel.get(head, NOTHING) for head in heads)] for case, kernel in kernels]
    if rows:
        yield from table(["case", *heads], rows)


def layers(figures: Figures) -> Iterator[str]:
    """Yield a table for each net that was profiled."""
    for one in results(figures, "layers"):
        if "steps" in one:
            yield f"{one['net']}, batch {one['batch']}, step by step, in microseconds.\n"
            rows = [
                [
                    step["stage"], step["way"], number(step["us"]), number(step["floor_us"]),
                    f"{step['floor_us'] / step['us']:.0%}" if step["us"] else NOTHING,
                ]
                for step in one["steps"]
            ]  # fmt: skip
            yield from table(["step", "implementation", "time", "floor", "floor / time"], rows)

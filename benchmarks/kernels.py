"""Time the kernels for each layer of AlexNet, VGG16 and GoogLeNet, forward and backward.

    python benchmarks/kernels.py [--net N] [--batch B] [--kind K] [--engine E] [--dtype D]
    python benchmarks/kernels.py --tune     time every configuration of each convolution
    python benchmarks/kernels.py --plan     print bytes, operations and floors; needs no GPU

The peers are eager PyTorch (channels-last, cudnn.benchmark), torch.compile and a bare cuDNN
convolution.  The floor comes from the copy bandwidth and the rate of matrix products of this GPU,
measured in the same run.  Every engine replays a CUDA graph over operands that rotate through twice
the L2 cache.  Engines take turns; the figures are medians and quartiles of 15 rounds.  An engine
with an error larger than rounding explains is reported and not timed.

Each case is stored in benchmarks/results/kernels-<gpu>.json when it is done.  A run stops after
--seconds with exit code 3, and the next run continues.  ``python docs/performance.py`` makes the
tables.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.layers import (
    BATCHES,
    BYTES,
    DIRECTIONS,
    ENGINES,
    FORWARD,
    NETS,
    LayerCase,
    Machine,
    cases,
    engines_of,
    planned,
)
from benchmarks.results import LEFT, Entry, Results


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    chosen = list(cases(options.net, options.batch, options.kind, options.dtype))
    if options.plan:
        print("\n".join(plan(chosen, planned(options.dtype))))
        return 0
    import torch

    if not torch.cuda.is_available():
        print(
            "benchmarks/kernels.py needs a CUDA GPU, and PyTorch does not find one; "
            "--plan prints bytes, operations and floors of every layer without a GPU",
            file=sys.stderr,
        )
        return 1
    if options.tune:
        chosen = [c for c in chosen if c.layer.kind == "conv" and c.direction == FORWARD]
    return run(chosen, options)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--net", choices=NETS, default=list(NETS), **several)
    parser.add_argument("--kind", choices=DIRECTIONS, default=list(DIRECTIONS), **several)
    together = "engines to time; a case without a result for one of them is measured again"
    parser.add_argument(
        "--engine", choices=ENGINES, default=list(ENGINES), help=together, **several
    )
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--dtype", choices=BYTES, default="bf16")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=540, help="start no case after this time")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--plan", action="store_true")
    return parser.parse_args(arguments)


def run(chosen: Sequence[LayerCase], options: argparse.Namespace) -> int:
    """Measure missing cases until the time is over; return the exit code."""
    import torch

    from benchmarks import measuring, results
    from netspec.timing.machine import gpu

    started = time.monotonic()
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = options.dtype == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = options.dtype == "tf32"
    bench = measuring.on_gpu(options.rounds)
    machine = gpu()
    path = results.path_for(machine["gpu"])
    kept = results.Results(path, machine, results.digest("kernels"))
    if kept.dropped:
        print(f"{path.name} is from another driver or version: {kept.dropped} results are dropped")
    table = "tuned" if options.tune else "cases"
    waiting = missing(chosen, kept, table, options.engine)
    print(f"{len(waiting)} of {len(chosen)} cases to measure")
    if not waiting:
        return 0
    rates = measuring.constants(bench, options.dtype)
    kept.data["constants"][options.dtype] = {
        "copy_bytes_per_second": rates.copy,
        "product_operations_per_second": rates.product,
    }
    print(f"copy {rates.copy / 1e12:.2f} TB/s, product {rates.product / 1e12:.0f} TFLOP/s")

    def measure(case: LayerCase) -> Entry:
        if options.tune:
            return measuring.tuned(case, bench, rates)
        return measuring.measured(case, options.engine, bench, rates)

    left = options.seconds - (time.monotonic() - started)
    for case, entry in sweep(waiting, measure, left):
        kept.put(table, case.key, entry)
        print("\n".join(told(case, entry)), flush=True)
        torch.cuda.synchronize()  # raises the error of a failed kernel now, not in the next case
        torch.cuda.empty_cache()  # the next case has other sizes
    return LEFT if missing(chosen, kept, table, options.engine) else 0


def missing(
    chosen: Iterable[LayerCase], kept: Results, table: str, names: Sequence[str]
) -> list[LayerCase]:
    """Return the cases without a result for these engines and the current kernels."""
    names = () if table == "tuned" else names  # the engines of "tuned" are all configurations
    return [c for c in chosen if not kept.has(table, c.key, engines_of(c.layer, names))]


def sweep(
    waiting: Sequence[LayerCase],
    measure: Callable[[LayerCase], Entry],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[LayerCase, Entry]]:
    """Measure cases one by one; start no case after the time is over."""
    started = clock()
    for done, case in enumerate(waiting):
        if clock() - started > seconds:
            print(f"{len(waiting) - done} cases remain: run the same command again")
            return
        yield case, measure(case)


def told(case: LayerCase, result: Entry) -> Iterator[str]:
    """Yield one line for a case, and one for each engine."""
    yield f"{case.key}: floor {result['floor_us']} us"
    for name, figures in result["engines"].items():
        shown = "  ".join(f"{key} {value}" for key, value in figures.items())
        yield f"    {name:<10} {shown}"


def plan(chosen: Sequence[LayerCase], machine: Machine) -> Iterator[str]:
    """Yield the bytes, operations and floor of each case for a machine."""
    rates = f"{machine.copy / 1e12:.1f} TB/s copied"
    if machine.product < float("inf"):
        rates += f", {machine.product / 1e12:.0f} TFLOP/s of products"
    yield f"floors from rates measured once on one {machine.name}: {rates}"
    heads = " ".join(f"{head:>9}" for head in ("MB", "GFLOP", "FLOP/byte", "floor us"))
    yield f"{heads}  layer | batch | direction | type"
    for case in chosen:
        bytes, operations = case.cost
        floor = machine.floor(case.cost) * 1e6
        yield (
            f"{bytes / 1e6:9.3f} {operations / 1e9:9.3f} {operations / bytes:9.1f} "
            f"{floor:9.2f}  {case.key}"
        )


if __name__ == "__main__":
    sys.exit(main())

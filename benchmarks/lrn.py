"""Time the CPU backend's LRN and PyTorch's on the maps of AlexNet and GoogLeNet.

    python benchmarks/lrn.py [--rounds N]

In float32, at batches of 1 and 8, in one process, in turns.  Both are first compared with float64.
The result is stored in benchmarks/results/lrn-<cpu>.json; ``python docs/performance.py`` makes the
table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

import torch
import torch.nn.functional as F

from benchmarks.results import FOLDER, path_for, write
from netspec import load
from netspec.backends.cpu import CpuBackend
from netspec.backends.cpu.measure import bound
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem
from netspec.timing.machine import machine
from netspec.timing.timing import WallTimer, interleaved

NETS = ("alexnet", "googlenet")
BATCHES = (1, 8)
ALLOWED = 1e-6
"""The allowed relative L2 error: about ten roundings of float32, 6e-8 each, and some margin."""


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args(arguments).rounds
    cases = [
        measured(net, stage, op, shape, batch, rounds)
        for net in NETS
        for stage, op, shape in layers(net)
        for batch in BATCHES
    ]
    host = machine()
    path = path_for(host["cpu"], folder, "lrn")
    write(path, {"machine": host, "date": date.today().isoformat(), "cases": cases})
    for case in cases:
        print(" ".join(f"{key}={value}" for key, value in case.items()), flush=True)


def layers(net: str) -> Iterator[tuple[str, LocalResponseNorm, Shape]]:
    graph = load(net).graph
    for stage in graph.stages():
        if isinstance(stage.op, LocalResponseNorm):
            yield stage.name, stage.op, graph.shapes_into(stage.name)[0]


def measured(
    net: str, stage: str, op: LocalResponseNorm, shape: Shape, batch: int, rounds: int
) -> dict[str, Any]:
    """Return the times of one LRN.

    PyTorch's LRN does not have groups, so it normalises each group separately and concatenates.
    """
    x = torch.rand(batch, *shape.torch).contiguous(memory_format=torch.channels_last)
    contiguous = x.contiguous()
    problem = Problem(op, (shape,), torch.float32, batch)
    implementation = next(iter(CpuBackend().implementations(problem)))
    y = torch.empty(batch, *shape)
    ours = bound(implementation, problem, {}, [x.permute(0, 2, 3, 1)], y)

    def theirs(x: torch.Tensor) -> torch.Tensor:
        parts = [
            F.local_response_norm(part, op.n, op.alpha * op.n, op.beta, op.k)
            for part in x.chunk(op.groups, dim=1)
        ]
        return parts[0] if op.groups == 1 else torch.cat(parts, dim=1)

    exact = op.reference([shape], x.double())
    ours()
    for output in (y.permute(0, 3, 1, 2), theirs(x)):
        error = float((output - exact).norm() / exact.norm())
        assert error < ALLOWED, f"{net} {stage}: off by {error:.1e}"
    timer = WallTimer()
    passes = {
        "netspec": timer.prepared([ours]),
        "torch": timer.prepared([lambda: theirs(contiguous)]),
        "torch channels-last": timer.prepared([lambda: theirs(x)]),
    }
    with torch.inference_mode():
        times = interleaved(passes, rounds=rounds)
    medians = {f"{name}_ms": round(time.median * 1e3, 4) for name, time in times.items()}
    best = min(times["torch"].median, times["torch channels-last"].median)
    ratio = round(best / times["netspec"].median, 3)
    return {"net": net, "stage": stage, "size": str(shape), "batch": batch, **medians} | {
        "ratio": ratio
    }


if __name__ == "__main__":
    main()

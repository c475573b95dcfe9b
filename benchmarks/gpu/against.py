"""Time our kernels against cuDNN and cuBLAS on twelve layers, the short list of each."""

from __future__ import annotations

import torch

from benchmarks.gpu.cases import problems
from benchmarks.gpu.journal import Log
from benchmarks.gpu.short import shortened
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.measure import measure
from netspec.lowering.implementation import Problem

LAYERS = (
    ("alexnet", "C1", 256),
    ("alexnet", "C2", 256),
    ("alexnet", "C3", 1),
    ("alexnet", "F6", 1),
    ("alexnet", "F6", 256),
    ("vgg16_3", "C1.1", 32),
    ("vgg16_3", "C2.1", 32),
    ("vgg16_3", "C3.2", 32),
    ("vgg16_3", "C5.1", 32),
    ("googlenet", "conv1", 32),
    ("googlenet", "3a.1x1", 32),
    ("googlenet", "4a.3x3", 32),
)
"""Net, row and batch: first layers, few and many channels, a single image, a matrix."""


def problem_of(net: str, row: str, batch: int) -> Problem:
    """Return the problem of the first stage of a row."""
    every = problems(net, torch.bfloat16, batch)
    return next(one for stage, one in every.items() if f"{stage}.".startswith(f"{row}."))


def main() -> None:
    log = Log.of_environment()
    by_key = {f"{net} {row}, batch {batch}": (net, row, batch) for net, row, batch in LAYERS}
    for key in log.cases(by_key):
        problem = problem_of(*by_key[key])
        ways = shortened(problem, CudaBackend("cuda").implementations(problem))
        times = measure(problem, ways, "cuda")
        microseconds = {name: round(seconds * 1e6, 2) for name, seconds in times.items()}
        log.result(key, us=microseconds, operations=problem.operations, bytes=problem.bytes)
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()

"""Time our kernels against cuDNN and cuBLAS on twelve layers, eight ways for each."""

from __future__ import annotations

import torch

from benchmarks.gpu.cases import problems
from benchmarks.gpu.journal import Log
from benchmarks.gpu.short import shortened
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.measure import measure

LAYERS = (
    ("alexnet", "C1.relu", 256),
    ("alexnet", "C2.relu", 256),
    ("alexnet", "C3.relu", 1),
    ("alexnet", "F6.relu", 1),
    ("alexnet", "F6.relu", 256),
    ("vgg16_3", "C11.relu", 32),
    ("vgg16_3", "C12.relu", 32),
    ("vgg16_3", "C32.relu", 32),
    ("vgg16_3", "C52.relu", 32),
    ("googlenet", "conv1.relu", 32),
    ("googlenet", "3a.b1.relu+3a.b2.relu1+3a.b3.relu1", 32),
    ("googlenet", "4a.b2.relu2", 32),
)
"""Net, stage and batch: first layers, few and many channels, a single image, a matrix."""


WAYS = 8


def main() -> None:
    log = Log.of_environment()
    by_key = {f"{net} {stage}, batch {batch}": (net, stage, batch) for net, stage, batch in LAYERS}
    for key in log.cases(by_key):
        net, stage, batch = by_key[key]
        problem = problems(net, torch.bfloat16, batch)[stage]
        ways = shortened(problem, CudaBackend("cuda").implementations(problem), WAYS)
        outcomes = {
            name: outcome if isinstance(outcome, str) else round(outcome * 1e6, 2)
            for name, outcome in measure(problem, ways, "cuda").items()
        }
        log.result(key, us=outcomes, operations=problem.operations, bytes=problem.bytes)
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()

"""Time the implementations of a problem on this GPU, in turns, on random data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from statistics import median
from time import perf_counter

import torch
import triton
from torch import Tensor
from triton.runtime.errors import OutOfResources

from netspec.backends.cuda.graphs import Stopwatch, captured
from netspec.backends.cuda.implementation import Call, CudaImplementation, Target
from netspec.backends.tuning import Tuning, digest
from netspec.lowering.implementation import Problem

ROUNDS = 15
CACHE = 2**27
"""Bytes that are written between two runs: twice the L2 cache of an H200.

This removes the weights from the cache, so that they are read from memory as in a net.
"""


def tuning(target: Target) -> Tuning:
    """Return the stored times of this GPU, these kernels and versions."""
    is_gpu = target.device.startswith("cuda")
    return Tuning(
        "cuda",
        {
            "sources": digest("netspec.kernels", "netspec.backends.cuda"),
            "torch": torch.__version__,
            "triton": triton.__version__,
            "device": torch.cuda.get_device_name(target.device) if is_gpu else target.device,
            "precision": target.precision,
        },
    )


def measure(
    problem: Problem, implementations: Sequence[CudaImplementation], device: str
) -> dict[str, float]:
    """Return the median seconds per batch of each implementation that can run.

    A tile may need more shared memory than the GPU has: its implementation is omitted.  On a GPU
    the time is that of a CUDA graph, as in a net.
    """
    destination = torch.device(device)
    is_gpu = destination.type == "cuda"
    generator = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator).to(destination, problem.dtype)

    x = [drawn(problem.batch, *shape) for shape in problem.inputs]
    y = [drawn(problem.batch, *problem.output)]
    described = {**problem.op.parameters(problem.inputs), **problem.op.buffers(problem.inputs)}
    parameters = {name: drawn(*parameter.shape) for name, parameter in described.items()}
    flushed = torch.zeros(CACHE // 4 if is_gpu else 1, device=destination)
    runs: dict[str, Callable[[], float]] = {}
    with torch.no_grad(), torch.cuda.device(destination) if is_gpu else nullcontext():
        for implementation in implementations:
            calls = implementation.bind(problem, implementation.pack(problem, parameters), x, y)
            with suppress(OutOfResources):
                runs[implementation.name] = _on_gpu(calls) if is_gpu else _on_cpu(calls)
        samples: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS if is_gpu else 1):
            for name, timed in runs.items():
                flushed.add_(1)
                samples[name].append(timed())
    return {name: median(seconds) for name, seconds in samples.items()}


def _run(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


def _on_gpu(calls: Sequence[Call]) -> Callable[[], float]:
    """Return a function that runs the calls and returns the seconds on the GPU's clock."""
    graph = captured(lambda: _run(calls))

    def timed() -> float:
        watch = Stopwatch()
        graph.replay()
        watch.stop()
        return watch.seconds()

    return timed


def _on_cpu(calls: Sequence[Call]) -> Callable[[], float]:
    """Return a function that runs the calls in the interpreter and returns the seconds.

    This time says nothing about a GPU.
    """

    def timed() -> float:
        started = perf_counter()
        _run(calls)
        return perf_counter() - started

    return timed

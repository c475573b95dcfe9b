"""Time each implementation on this GPU, in turns, over random data."""

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
"""Bytes that are written between two runs, twice what the L2 cache of an H200 holds, so that
weights come from memory as they do in a net."""


def tuning(target: Target) -> Tuning:
    """Return the times measured on this GPU with these kernels and versions."""
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
    """Return the median of the seconds that each takes for the batch, of those that run.

    On a GPU it is the time of a CUDA graph, as in a net.
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
    """Return a run of calls, timed by the GPU."""
    graph = captured(lambda: _run(calls))

    def timed() -> float:
        watch = Stopwatch()
        graph.replay()
        watch.stop()
        return watch.seconds()

    return timed


def _on_cpu(calls: Sequence[Call]) -> Callable[[], float]:
    """Return a run of calls in the interpreter; its time says nothing about a GPU."""

    def timed() -> float:
        started = perf_counter()
        _run(calls)
        return perf_counter() - started

    return timed

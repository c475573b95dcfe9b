"""Time the implementations of a problem on this CPU, in turns, on random data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from time import perf_counter

import torch
from torch import Tensor

from netspec.backends.cpu.implementation import CpuImplementation, bind, run
from netspec.backends.cpu.onednn.library import DISTRIBUTION, missing, share_threads
from netspec.backends.cpu.processor import processor_name
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.measuring import Run, in_turns
from netspec.backends.tuning import Tuning
from netspec.files.cache import digest
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Problem, Tensors

ROUNDS = 7
CACHE = 2**26
"""Bytes that are read and written between two runs.

This removes the weights from the cache, so that they are read from memory as in a net.
"""


def tuning() -> Tuning:
    """Return the stored times of this CPU, number of threads, versions and sources."""
    return Tuning(
        "cpu",
        {
            "sources": digest("netspec.backends.cpu"),
            "torch": torch.__version__,
            "onednn": missing() or version(DISTRIBUTION),
            "device": f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}",
            "cores": str(os.cpu_count()),
            "threads": str(torch.get_num_threads()),
        },
    )


def measure(problem: Problem, implementations: Sequence[CpuImplementation]) -> Outcomes:
    """Return the median seconds per batch of each implementation, or why it failed."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> torch.Tensor:
        return torch.rand(*size, generator=generator, dtype=torch.float32, device="cpu").to(
            problem.dtype
        )

    x = [drawn(problem.batch, *shape) for shape in problem.inputs]
    y = torch.empty(problem.batch, *problem.output, dtype=problem.dtype, device="cpu")
    described = {**problem.op.parameters(problem.inputs), **problem.op.buffers(problem.inputs)}
    parameters = {name: drawn(*parameter.shape) for name, parameter in described.items()}
    flushed = torch.zeros(CACHE, dtype=torch.uint8, device="cpu")

    def prepared(implementation: CpuImplementation) -> Run:
        packed = implementation.pack(problem, parameters)
        call = bound(implementation, problem, packed, x, y)
        call()

        def timed() -> float:
            started = perf_counter()
            call()
            return perf_counter() - started

        return timed

    with torch.no_grad():
        return in_turns(
            {one.name: partial(prepared, one) for one in implementations},
            rounds=ROUNDS,
            between=lambda: flushed.add_(1),
        )


def bound(
    implementation: CpuImplementation,
    problem: Problem,
    packed: Tensors,
    x: Sequence[Tensor],
    y: Tensor,
) -> Callable[[], None]:
    """Return a call of one implementation alone, with its own scratch memory."""
    if not missing():
        share_threads()
    scratch = Scratch()
    calls = bind(implementation, problem, packed, x, y, scratch)
    scratch.hand_out()

    return partial(run, calls)

"""Compile kernels into Triton's cache, without running them.

    python -m benchmarks.gpu.warm CAPABILITY PART PARTS

compiles part number PART of PARTS equal ones: the kernels of the cases of the smoke test, those of
whole nets as the model plans them, and those that later stages measure.  Launches go to a stand-in
of the driver, so the keys in the cache are those of real launches, and no GPU is needed.  If there
is one, Triton also compiles the C code that launches the kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from triton import knobs
from triton.runtime import driver

import netspec
from benchmarks.gpu import against, short
from benchmarks.gpu.cases import (
    ARITHMETIC,
    LIBRARIES,
    NETS,
    ROWS,
    Case,
    cases,
    implementation,
    problem,
    problems,
)
from benchmarks.gpu.journal import Log
from benchmarks.gpu.plan import TUNED
from benchmarks.gpu.smoke import AROUND, checked, guarded
from benchmarks.gpu.stand_in import StandIn
from netspec.backends.cuda import CudaBackend, conv
from netspec.backends.cuda.ahead import _packed_stage
from netspec.backends.cuda.binding import bound_steps
from netspec.backends.cuda.bound import FEW
from netspec.backends.cuda.lanes import apart
from netspec.backends.cuda.measure import operands
from netspec.backends.memory import PlanMemory, in_batches
from netspec.kernels.conv import persistent
from netspec.kernels.launch import Launch
from netspec.lowering.implementation import Problem
from netspec.lowering.lowered import lowered

BATCHES = (1, 8, 32, 256)


class Layer(NamedTuple):
    """A layer of which several implementations are measured: net, batch, stage, and how many."""

    net: str
    batch: int
    stage: str
    ways: int


def main() -> None:
    capability, part, parts = map(int, sys.argv[1:])
    counted = warm(capability, part, parts)
    Log.of_environment().result(f"part {part}", **counted)


def warm(capability: int, part: int = 0, parts: int = 1) -> dict[str, Any]:
    """Compile a part of the kernels; return their keys, and how many were not in the cache."""
    hits: list[bool] = []
    keys: dict[str, None] = {}

    def note(**told: Any) -> None:
        hits.append(bool(told["cache_hit"]))
        keys.update(
            dict.fromkeys(Path(path).parent.name for path in told["metadata_group"].values())
        )

    knobs.compilation.listener = note
    driver.set_active(StandIn(capability, builds_launchers=torch.cuda.is_available()))
    conv.cudnn_into = lambda *arguments, **options: None
    # Kernels are launched on tensors of the CPU as if they were a GPU's.
    persistent.is_interpreted = lambda: True
    for name, module in list(sys.modules.items()):
        for check in ("check_device", "check_product"):
            if name.startswith("netspec.kernels.") and hasattr(module, check):
                setattr(module, check, lambda x: None)
    failed = []
    for number, task in enumerate(tasks()):
        if number % parts != part:
            continue
        try:
            match task:
                case Case():
                    error = _smoke(task)
                case Layer():
                    error = _layer(task)
                case _:
                    error = _net(*task)
        except Exception as problem:  # whatever a compiler raises: the other tasks are compiled
            error = f"{type(problem).__name__}: {problem}".splitlines()[0][:200]
        if error:
            failed.append(f"{task}: {error}")
    counted: dict[str, Any] = {
        "kernels": len(hits),
        "compiled": hits.count(False),
        "keys": list(keys),
    }
    return counted | ({"error": failed[0], "failed": len(failed)} if failed else {})


def tasks() -> Iterator[Case | Layer | tuple[str, int]]:
    """Yield the cases of the smoke test, each net with a batch, and layers, in a fixed order."""
    yield from ((net, batch) for net in NETS for batch in BATCHES)
    for net, stage, batch in against.LAYERS:
        yield Layer(net, batch, stage, against.WAYS)
    for net, batch in TUNED:
        for stage in problems(net, torch.bfloat16, batch):
            yield Layer(net, batch, stage, short.WAYS)
    for kind in ARITHMETIC:
        for family in ROWS:
            for case in cases(family, kind, "cpu"):
                if case.way == "aten":
                    # Where PyTorch's convolution is a case, cuDNN's is one on a GPU.
                    yield case._replace(way="cudnn")
                elif case.way not in LIBRARIES:
                    yield case


def _smoke(case: Case) -> str:
    """Launch the kernels of a case; what they would have written is not looked at."""
    if case.way != "cudnn":
        return str(checked(case, "cpu", is_once=True).get("error", ""))
    of = problem(case)
    chosen = implementation(case, of, "meta")
    x = [torch.empty(case.batch, *shape, dtype=of.dtype, device="meta") for shape in of.inputs]
    y, _, _ = guarded(of, case.batch, "meta", AROUND * chosen.ability.into_slices)
    _launch(chosen.bind(of, chosen.pack(of, _empty_parameters(of)), x, [y]))
    return ""


def _layer(layer: Layer) -> str:
    """Launch the kernels that are measured for a layer."""
    of = problems(layer.net, torch.bfloat16, layer.batch)[layer.stage]
    known = short.shortened(of, CudaBackend("cpu").implementations(of), layer.ways)
    known += [one for one in CudaBackend("meta").implementations(of) if one.name == "cudnn"]

    def empty(*size: int) -> Tensor:
        return torch.empty(size, dtype=of.dtype, device="meta")

    x, y = operands(of, empty)
    for one in known:
        packed = one.pack(of, _empty_parameters(of))
        if not one.misfit(packed, x, y):
            _launch(one.bind(of, packed, x, y))
    return ""


def _empty_parameters(of: Problem) -> dict[str, Tensor]:
    """Return the parameters of a problem, without memory."""
    described = {**of.op.parameters(of.inputs), **of.op.buffers(of.inputs)}
    return {
        name: torch.empty(*parameter.shape, dtype=of.dtype, device="meta")
        for name, parameter in described.items()
    }


def _net(name: str, batch: int) -> str:
    """Launch the kernels of a net in bf16: the plan that the model makes for a GPU, which leaves
    some layers to libraries, and the plan of netspec's kernels alone."""
    for device in ("meta", "cpu"):
        backend = CudaBackend(device)
        net = lowered(netspec.load(name).graph, backend, dtype=torch.bfloat16, batch=batch)
        plan = apart(net.plan) if batch <= FEW else net.plan
        arena = torch.empty(plan.arena * batch, dtype=net.dtype, device="meta")
        memory = PlanMemory(plan, in_batches(plan, batch), arena)
        stages = {stage: _packed_stage(net, stage, one) for stage, one in net.problems.items()}
        for _, calls in bound_steps(net.graph, plan, stages, memory):
            _launch(calls)
    return ""


def _launch(calls: Iterable[Any]) -> None:
    """Launch the kernels among the calls of a step, and those around cuDNN's."""
    for call in calls:
        if isinstance(call, Launch | partial):
            call()


if __name__ == "__main__":
    main()

"""Bind the steps of a plan to memory: return the calls of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from netspec.backends.cuda.implementation import Call, CudaImplementation
from netspec.backends.memory import PlanMemory
from netspec.ir.graph import Graph
from netspec.ir.ops.concat import Concat
from netspec.lowering.backend import PackedStage
from netspec.lowering.plan import Plan, Step
from netspec.runtime.gate import require, require_memory


def bound_steps(
    graph: Graph, plan: Plan, stages: Mapping[str, PackedStage], memory: PlanMemory
) -> list[tuple[Step, Sequence[Call]]]:
    """Return every step of a plan with its calls.

    Raises:
        TypeError, ValueError: a parameter is not in the memory of the same device.
    """
    if memory.arena.device.type != "meta":  # calls on the meta device are compiled, never run
        for step in plan.steps:
            for name, tensor in stages[step.stage].packed.items():
                label, device = f"{step.stage}: {name}", memory.arena.device
                require(tensor, label, device=device, dtype=tensor.dtype)
        require_memory(memory.arena, "the arena")
    return [(step, _calls(graph, step, stages[step.stage], memory)) for step in plan.steps]


def _calls(
    graph: Graph, step: Step, packed_stage: PackedStage, memory: PlanMemory
) -> Sequence[Call]:
    assert isinstance(packed_stage.implementation, CudaImplementation)
    x = [memory.slots[i] for i in step.reads]
    if isinstance(graph.stage(step.stage).op, Concat):
        y = _places(graph, step, memory)
    else:
        y = [memory.slots[i] for i in step.writes]
    return packed_stage.implementation.bind(packed_stage.problem, packed_stage.packed, x, y)


def _places(graph: Graph, step: Step, memory: PlanMemory) -> list[Tensor]:
    """Return the slice of a concatenation for each part that is not computed in place."""
    (whole,) = (memory.slots[i] for i in step.writes)
    waiting = [memory.plan.slots[i].stage for i in step.reads]
    destinations: list[Tensor] = []
    start = 0
    for operand in graph.operands(step.stage):
        count = graph.stage(operand).known_shape.channels
        if len(destinations) < len(waiting) and operand == waiting[len(destinations)]:
            destinations.append(whole.narrow(-1, start, count))
        start += count
    assert len(destinations) == len(waiting), f"{step.stage}: {waiting}"
    return destinations

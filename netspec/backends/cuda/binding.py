"""The steps of a plan bound to memory: what each runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from netspec.backends.cuda.way import Call, Way
from netspec.backends.memory import Memory
from netspec.ir.graph import Graph
from netspec.ir.ops.concat import Concat
from netspec.lowering.backend import Part
from netspec.lowering.plan import Plan, Step
from netspec.runtime.gate import require, require_memory


def bound(
    graph: Graph, plan: Plan, parts: Mapping[str, Part], memory: Memory
) -> list[tuple[Step, Sequence[Call]]]:
    """Every step of a plan with what it runs.

    Raises:
        TypeError, ValueError: a tensor that it reads is not in memory of the same device.
    """
    if memory.arena.device.type != "meta":  # which nothing is run in
        for step in plan.steps:
            for name, tensor in parts[step.stage].packed.items():
                what, device = f"{step.stage}: {name}", memory.arena.device
                require(tensor, what, device=device, dtype=tensor.dtype)
        require_memory(memory.arena, "the arena")
    return [(step, _calls(graph, step, parts[step.stage], memory)) for step in plan.steps]


def _calls(graph: Graph, step: Step, part: Part, memory: Memory) -> Sequence[Call]:
    assert isinstance(part.way, Way)
    x = [memory.slots[i] for i in step.reads]
    if isinstance(graph.stage(step.stage).op, Concat):
        y = _places(graph, step, memory)
    else:
        y = [memory.slots[i] for i in step.writes]
    return part.way.bind(part.work, part.packed, x, y)


def _places(graph: Graph, step: Step, memory: Memory) -> list[Tensor]:
    """Where in a concatenation each part belongs that was not written there."""
    (whole,) = (memory.slots[i] for i in step.writes)
    waiting = [memory.plan.slots[i].stage for i in step.reads]
    found: list[Tensor] = []
    start = 0
    for operand in graph.operands(step.stage):
        count = graph.stage(operand).known_shape.channels
        if len(found) < len(waiting) and operand == waiting[len(found)]:
            found.append(whole.narrow(-1, start, count))
        start += count
    assert len(found) == len(waiting), f"{step.stage}: {waiting}"
    return found

"""The memory of a plan for a batch: one arena, and every slot as a view of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from netspec.backends.backend import Part
from netspec.backends.cuda.way import Call, Way
from netspec.graph import Graph
from netspec.ops.concat import Concat
from netspec.plan import Plan, Slot, Step


class Memory:
    """An arena of ``plan.arena`` elements an image, buffers at the plan's offsets times the batch.

    Attributes:
        slots: maps [N, H, W, C], perhaps slices of channels, and vectors [N, C].
    """

    def __init__(
        self, plan: Plan, batch: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        self.plan, self.batch = plan, batch
        self.arena = torch.empty(plan.arena * batch, dtype=dtype, device=device)
        self.slots = [self._view(slot) for slot in plan.slots]

    def _view(self, slot: Slot) -> Tensor:
        buffer = self.plan.buffers[slot.buffer]
        size = buffer.shape.elements * self.batch
        whole = self.arena.narrow(0, buffer.offset * self.batch, size)
        maps = whole.view(self.batch, *buffer.shape)
        part = maps.narrow(-1, slot.start, slot.shape.channels)
        is_flat = buffer.shape.is_map and not slot.shape.is_map
        return part[:, 0, 0] if is_flat else part

    def calls(self, graph: Graph, step: Step, part: Part) -> Sequence[Call]:
        """What a step runs, on this memory."""
        assert isinstance(part.way, Way)
        x = [self.slots[i] for i in step.reads]
        if isinstance(graph.stage(step.stage).op, Concat):
            y = self._places(graph, step)
        else:
            y = [self.slots[i] for i in step.writes]
        return part.way.bind(part.work, part.packed, x, y)

    def _places(self, graph: Graph, step: Step) -> list[Tensor]:
        """Where in a concatenation each part belongs that was not written there."""
        (whole,) = (self.slots[i] for i in step.writes)
        waiting = [self.plan.slots[i].stage for i in step.reads]
        found: list[Tensor] = []
        start = 0
        for operand in graph.operands(step.stage):
            count = graph.stage(operand).known_shape.channels
            if len(found) < len(waiting) and operand == waiting[len(found)]:
                found.append(whole.narrow(-1, start, count))
            start += count
        assert len(found) == len(waiting), f"{step.stage}: {waiting}"
        return found


def bound(
    graph: Graph, plan: Plan, parts: Mapping[str, Part], memory: Memory
) -> list[tuple[Step, Sequence[Call]]]:
    """Every step of a plan with what it runs."""
    return [(step, memory.calls(graph, step, parts[step.stage])) for step in plan.steps]

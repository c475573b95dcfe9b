"""A plan bound to one batch size and number of threads: its memory, and the calls of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter

import torch
from torch import Tensor

from netspec.backends.cpu.images import copying
from netspec.backends.cpu.implementation import Call, CpuImplementation, bind, run
from netspec.backends.cpu.pages import PAGES
from netspec.backends.cpu.parts import extents, stretches, turns
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.memory import PlanMemory
from netspec.collecting import without_collecting
from netspec.lowering.backend import PackedStage, Timed
from netspec.lowering.plan import Plan, Step
from netspec.lowering.ranges import Guard, OutOfRangeError


class BoundPlan:
    """A plan with memory for one batch size.

    Only one run may use it at a time.  It runs with the number of threads of its creation, because
    a primitive of oneDNN is created for one number of threads.
    """

    def __init__(
        self,
        plan: Plan,
        stages: Mapping[str, PackedStage],
        guards: Sequence[Guard],
        batch: int,
        dtype: torch.dtype,
    ) -> None:
        self._batch = batch
        found = stretches(plan, stages, batch, dtype, torch.get_num_threads())
        places, size = extents(plan, batch, found)
        # Inside inference mode these tensors would be inference tensors, which raise an error when
        # a later run outside of it writes to them.
        with torch.inference_mode(False), without_collecting():
            arena = PAGES.empty((size,), dtype).zero_()
            self._memory, scratch = PlanMemory(plan, places, arena), Scratch()
            self._turns = [
                (number, images, _bound(plan.steps[number], images, stages, self._memory, scratch))
                for number, images in turns(len(plan.steps), batch, found)
            ]
            scratch.begin()
            self._copies = [
                copying(self._memory.slots[i], plan.slots[i].stage, scratch) for i in plan.inputs
            ]
            scratch.hand_out()
        self._calls = self._watches(guards, -1, range(batch))
        for number, images, calls in self._turns:
            self._calls += [*calls, *self._watches(guards, number, images)]

    def _watches(self, guards: Sequence[Guard], after: int, images: range) -> list[Call]:
        return [
            partial(_watch, self._memory.values(guard.buffer, images), guard.limit)
            for guard in guards
            if guard.after == after
        ]

    def run(
        self, images: Sequence[Tensor], out: Sequence[Tensor] | None
    ) -> tuple[Tensor, ...] | None:
        """Return the outputs of a batch, in new memory or in ``out``.

        Return None if a guard finds a value outside its limit.
        """
        self._take_in(images)
        try:
            run(self._calls)
        except OutOfRangeError:
            return None
        return self._memory.hand_out(len(images[0]), out)

    def _take_in(self, images: Sequence[Tensor]) -> None:
        for copy, batch in zip(self._copies, images, strict=True):
            copy(batch)

    def profile(self, images: Sequence[Tensor]) -> list[Timed]:
        """Run once and return the time of each step."""
        self._take_in(images)
        steps = self._memory.plan.steps
        seconds = [0.0] * len(steps)
        for number, _, calls in self._turns:
            started = perf_counter()
            run(calls)
            seconds[number] += perf_counter() - started
        return [
            Timed(step.stage, step.implementation, time, self._kept(step))
            for step, time in zip(steps, seconds, strict=True)
        ]

    def _kept(self, step: Step) -> int:
        """Return the bytes of a step's maps, of the whole batch, that are kept in the cache."""
        memory = self._memory
        slots = [memory.plan.slots[i] for i in (*step.reads, *step.writes)]
        elements = sum(
            slot.shape.elements
            for slot in slots
            if memory.extents[slot.buffer].images < self._batch
        )
        return elements * self._batch * memory.arena.itemsize


def _watch(values: Tensor, limit: float) -> None:
    """Raise OutOfRangeError unless all values are in [-limit, limit]; NaN is not."""
    low, high = torch.aminmax(values)
    # "not (a and b)" rather than "a or b": comparisons with NaN are false, and NaN must raise.
    if not (-limit <= low.item() and high.item() <= limit):
        raise OutOfRangeError


def _bound(
    step: Step,
    images: range,
    stages: Mapping[str, PackedStage],
    memory: PlanMemory,
    scratch: Scratch,
) -> Sequence[Call]:
    implementation, problem, packed, *_ = stages[step.stage]
    assert isinstance(implementation, CpuImplementation)
    x = [memory.part(i, images) for i in step.reads]
    (y,) = (memory.part(i, images) for i in step.writes)
    scratch.begin()
    try:
        return bind(implementation, problem, packed, x, y, scratch)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{step.stage}: {error}") from None

"""A plan bound to one batch size and number of threads: its memory, and the calls of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter

import torch
from torch import Tensor

from netspec.backends.cpu.implementation import Call, CpuImplementation, bind
from netspec.backends.cpu.pages import PAGES
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
        # Inside inference mode these tensors would be inference tensors, which raise an error when
        # a later run outside of it writes to them.
        with torch.inference_mode(False), without_collecting():
            arena = PAGES.empty((plan.arena * batch,), dtype).zero_()
            self._memory, scratch = PlanMemory(plan, batch, arena), Scratch()
            self._steps = [
                (step, _bound(step, stages[step.stage], self._memory, scratch))
                for step in plan.steps
            ]
            scratch.hand_out()
        watched: dict[int, list[Call]] = {}
        for guard in guards:
            values = self._memory.values(guard.buffer)
            watched.setdefault(guard.after, []).append(partial(_watch, values, guard.limit))
        self._calls = watched.get(-1, [])
        for number, (_, calls) in enumerate(self._steps):
            self._calls += [*calls, *watched.get(number, [])]

    def run(
        self, images: Sequence[Tensor], out: Sequence[Tensor] | None
    ) -> tuple[Tensor, ...] | None:
        """Return the outputs of a batch, in new memory or in ``out``.

        Return None if a guard finds a value outside its limit.
        """
        self._memory.take_in(images)
        try:
            for call in self._calls:
                call()
        except OutOfRangeError:
            return None
        return self._memory.hand_out(len(images[0]), out)

    def profile(self, images: Sequence[Tensor]) -> list[Timed]:
        """Run once and return the time of each step."""
        self._memory.take_in(images)
        return [_timed(step, calls) for step, calls in self._steps]


def _watch(values: Tensor, limit: float) -> None:
    """Raise OutOfRangeError unless all values are in [-limit, limit]; NaN is not."""
    low, high = torch.aminmax(values)
    # "not (a and b)" rather than "a or b": comparisons with NaN are false, and NaN must raise.
    if not (-limit <= low.item() and high.item() <= limit):
        raise OutOfRangeError


def _bound(
    step: Step, packed_stage: PackedStage, memory: PlanMemory, scratch: Scratch
) -> Sequence[Call]:
    assert isinstance(packed_stage.implementation, CpuImplementation)
    x, (y,) = [memory.slots[i] for i in step.reads], (memory.slots[i] for i in step.writes)
    scratch.begin()
    try:
        return bind(
            packed_stage.implementation, packed_stage.problem, packed_stage.packed, x, y, scratch
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"{step.stage}: {error}") from None


def _timed(step: Step, calls: Sequence[Call]) -> Timed:
    started = perf_counter()
    for call in calls:
        call()
    return Timed(step.stage, step.implementation, perf_counter() - started)

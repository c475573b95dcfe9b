"""Guards: with them no step leaves its domain, and there are few of them."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch

import netspec
from netspec.backends.cpu.executor import CpuExecutor
from netspec.ir.growth import Growth
from netspec.ir.shapes import Shape
from netspec.lowering.plan import Buffer, Plan, Slot, Step
from netspec.lowering.ranges import LIMIT, Guard, Range, guards

EXACT = Range(inf, Growth(1.0))
"""A step that is right for every value."""


def chain(*sizes: int) -> Plan:
    """A plan of one step after another, whose buffers have these sizes."""
    slots = tuple(Slot(f"s{i}", Shape((size,)), i) for i, size in enumerate(sizes))
    buffers = tuple(Buffer(Shape((size,)), i - 1, i) for i, size in enumerate(sizes))
    steps = tuple(Step(f"s{i}", "x", "x", (i - 1,), (i,)) for i in range(1, len(sizes)))
    return Plan((0,), (len(sizes) - 1,), slots, buffers, steps, 0, 0, 0)


def ranges(*ranges: Range) -> dict[str, Range]:
    return {f"s{i}": one for i, one in enumerate(ranges, 1)}


def test_steps_that_are_right_for_every_value_need_no_guard() -> None:
    assert guards(chain(9, 9, 9), ranges(EXACT, EXACT)) == []


def test_the_image_is_guarded_where_a_step_is_right_for_some() -> None:
    plan = chain(9, 9, 9)
    assert guards(plan, ranges(Range(1e30, Growth(10.0)), EXACT)) == [Guard(-1, 0, LIMIT)]
    assert guards(plan, ranges(EXACT, Range(1e30, Growth(10.0)))) == [Guard(0, 1, LIMIT)]


def test_the_smallest_buffer_is_guarded() -> None:
    library = Range(1e30, Growth(1.0))
    plan = chain(9, 9, 4, 6, 9)
    assert guards(plan, ranges(EXACT, EXACT, EXACT, library)) == [Guard(1, 2, LIMIT)]


def test_bounds_that_leave_a_domain_are_cut() -> None:
    library = Range(1e34, Growth(1e10))
    plan = chain(9, 8, 7, 6, 5)
    # 1e6, 1e16, 1e26, and 1e36 is too much for the fourth: 1e6 again
    assert guards(plan, ranges(*[library] * 4)) == [Guard(-1, 0, LIMIT), Guard(2, 3, LIMIT)]


def test_a_narrow_domain_makes_a_low_limit() -> None:
    plan = chain(9, 9, 9)
    narrow = ranges(Range(1e30, Growth(10.0)), Range(50.0, Growth(1.0)))
    assert guards(plan, narrow) == [Guard(-1, 0, LIMIT), Guard(0, 1, 50.0)]


@pytest.mark.parametrize("place", [0, 1])
def test_a_step_that_is_never_right_lets_nothing_pass(place: int) -> None:
    steps = [Range(1e30, Growth(1.0))] * 2
    steps[place] = Range(-inf, Growth(nan))
    assert guards(chain(9, 9, 9), ranges(*steps)) == [Guard(-1, 0, -inf)]


RESIDUAL = """net residual
input image 6x6x4
a: conv 3x3, 8, pad=1 | relu
b: add { identity; conv 3x3, 8, pad=1 | relu | conv 3x3, 8, pad=1 } | relu
c: add { conv 1x1, 8; conv 3x3, 8, pad=1 | relu } | relu
d: concat { conv 1x1, 2 | relu; maxpool 3x3/1, pad=1 } | avgpool 2x2/2
e: lrn 5 | fc 5 | softmax
"""


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e15, 1e28])
def test_no_step_of_a_net_leaves_its_domain(scale: float) -> None:
    model = netspec.compile(netspec.loads(RESIDUAL))
    model.load_state_dict({name: scale * t for name, t in model.state_dict().items()})
    executor = model.refresh()
    assert isinstance(executor, CpuExecutor)
    plan, limits = executor._plan, {g.buffer: g.limit for g in executor.guards}
    packed, bounds = model.packed.stages(), dict[int, float]()
    for slot in plan.inputs:
        bounds[plan.slots[slot].buffer] = limits.get(plan.slots[slot].buffer, inf)
    for step in plan.steps:
        stage = packed[step.stage]
        x = max(bounds[plan.slots[slot].buffer] for slot in step.reads)
        assert x <= stage.implementation.domain(stage.problem, stage.growth), step.stage
        for slot in step.writes:
            buffer = plan.slots[slot].buffer
            bounds[buffer] = min(stage.growth.bound(x), limits.get(buffer, inf))
    assert len(executor.guards) < len(plan.steps)


def test_usual_nets_have_a_guard_or_two() -> None:
    for name in ("lenet5", "alexnet", "googlenet"):
        model = netspec.compile(name)
        executor = model.refresh()
        assert isinstance(executor, CpuExecutor)
        assert 1 <= len(executor.guards) <= 2
        assert all(guard.limit == LIMIT for guard in executor.guards)
    exact = netspec.compile("lenet5", dtype=torch.float64).refresh()
    assert isinstance(exact, CpuExecutor)
    assert exact.guards == []

"""Drawn nets of concatenations and siblings: values stand where they are read, and nothing that is
still to be read is overwritten.  Computed by PyTorch, which is faster than the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec.backends.cuda.binding import bound_steps
from netspec.backends.cuda.executor import CudaExecutor
from netspec.backends.cuda.lanes import Turn, apart, turns
from netspec.backends.memory import PlanMemory, in_batches, nchw
from netspec.lowering.plan import Plan
from netspec.runtime.verification import as_tuple, random_images
from tests.backends.cuda.helpers import DEVICE, MAP, load_rows
from tests.examples import examples

OPERATORS = (
    "conv 1x1, 3",
    "conv 1x1, 2 | relu",
    "conv 3x3, 2, pad=1 | relu",
    "maxpool 3x3/1, pad=1",
    "tanh",
    "lrn 3",
    "avgpool 3x3/1, pad=1, count_pad=on | conv 1x1, 2",
)


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Rows that read any rows before them; concatenations of up to four."""
    names, rows = ["image"], []
    for number in range(draw(st.integers(2, 9))):
        name = f"r{number}"
        sources = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
        if len(sources) == 1:
            rows.append(f"{name} from {sources[0]}: {draw(st.sampled_from(OPERATORS))}")
        else:
            rows.append(f"{name} from {', '.join(sources)}: concat")
        names.append(name)
    is_read = {
        name for row in rows for name in row.partition(" from ")[2].split(":")[0].split(", ")
    }
    ends = [name for name in names[1:] if name not in is_read]
    more = draw(st.lists(st.sampled_from(names[1:]), max_size=2, unique=True))
    rows.append("output " + ", ".join(dict.fromkeys([*ends, *more])))
    return "\n".join(rows)


def by_torch(net: netspec.Net) -> netspec.Compiled:
    """The net compiled with PyTorch's implementations."""
    first = netspec.compile(net, device="cuda", dtype=torch.float64)
    implementations = {
        stage: next(
            (
                implementation
                for implementation in choice.candidates
                if implementation in ("aten", "torch")
            ),
            None,
        )
        for stage, choice in first.lowered.choices.items()
    }
    choices = {
        stage: implementation
        for stage, implementation in implementations.items()
        if implementation is not None
    }
    return netspec.compile(net, device="cuda", dtype=torch.float64, choices=choices)


@given(rows=specs())
@examples(40)
def test_no_value_is_lost(rows: str) -> None:
    net = load_rows(rows, MAP)
    model = by_torch(net)
    plan = model.lowered.plan
    assert plan.bound <= plan.arena <= plan.total + 64 * len(plan.buffers)
    exact = netspec.reference(net, dtype=torch.float64)
    images = random_images(net, batch=2)
    assert isinstance(model.refresh(), CudaExecutor)
    model.refresh().bound_plan(images).memory.arena.fill_(torch.nan)
    with torch.no_grad():
        outputs = model(images[0].to(DEVICE))
        wanted = exact(images[0])
    if isinstance(wanted, torch.Tensor):
        outputs, wanted = (outputs,), (wanted,)
    for y, right in zip(outputs, wanted, strict=True):
        torch.testing.assert_close(y.cpu(), right, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("layout", [lambda plan: plan, apart], ids=["shared", "apart"])
@given(rows=specs(), random=st.randoms(use_true_random=False))
@examples(20)
def test_lanes_may_run_in_any_order(
    layout: Callable[[Plan], Plan], rows: str, random: Random
) -> None:
    """A run in which every lane goes on whenever it may gives what the steps in order give."""
    net = load_rows(rows, MAP)
    model = by_torch(net)
    lowered = model.lowered
    plan = layout(lowered.plan)
    (image,) = random_images(net, batch=2)
    arena = torch.full((plan.arena * 2,), torch.nan, dtype=torch.float64, device=DEVICE)
    memory = PlanMemory(plan, in_batches(plan, 2), arena)
    steps = bound_steps(lowered.graph, plan, model.packed.stages(), memory)
    nchw(memory.slots[plan.inputs[0]]).copy_(image)
    order = turns(plan)
    done: set[int] = set()
    with torch.no_grad():
        while len(done) < len(order):
            heads = {turn.lane: n for n, turn in reversed([*enumerate(order)]) if n not in done}
            ready = [n for n in heads.values() if done.issuperset(order[n].after)]
            number = random.choice(ready)
            for call in steps[number][1]:
                call()
            done.add(number)
        wanted = as_tuple(model(image.to(DEVICE)))
    for slot, right in zip(plan.outputs, wanted, strict=True):
        assert torch.equal(nchw(memory.slots[slot]), right)


def test_a_straight_net_is_one_lane_and_branches_are_several() -> None:
    straight = by_torch(
        load_rows("a: conv 3x3, 4 | relu | lrn 3 | tanh\nb: fc 3", MAP)
    ).lowered.plan
    assert turns(straight) == [Turn(0, ())] * len(straight.steps)
    rows = "a: tanh\nb from a: lrn 3\nc from a: sigmoid\nd from b, c: add"
    branches = by_torch(load_rows(rows, MAP)).lowered.plan
    assert [turn.lane for turn in turns(branches)] == [0, 0, 1, 1]
    assert [turn.after for turn in turns(branches)] == [(), (), (0,), (1,)]

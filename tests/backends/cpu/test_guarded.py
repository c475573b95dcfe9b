"""Nothing is read or written outside operands, weights, scratch and results."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import netspec
from netspec import loads
from netspec.backends.cpu import IMPLEMENTATIONS
from netspec.backends.cpu.implementation import Call, bind
from netspec.backends.cpu.onednn.library import missing, share_threads
from netspec.backends.cpu.plain import Plain
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.cpu.space_to_depth import SpaceToDepth
from netspec.backends.cpu.winograd import Winograd
from netspec.backends.memory import PlanMemory, in_batches, nchw
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel
from netspec.lowering.implementation import Problem
from netspec.lowering.plan import Plan
from netspec.runtime.compiled import Compiled
from tests.backends.cpu.helpers import TYPES, operands, problem_of, tensors
from tests.backends.cpu.problems import READ_TOO_FAR, implementations_of, problems
from tests.backends.helpers import random_tensors
from tests.examples import examples
from tests.forked import forked
from tests.lowering.passes.helpers import images
from tests.lowering.passes.strategy import specs

linux = pytest.mark.skipif(sys.platform != "linux", reason="pages are protected by mprotect")


def assert_nothing_faults(*, nets: int, pieces: int, seed: int) -> None:
    """Of so many random nets and problems in each type."""
    ran = forked("torch").python("-m", "tests.backends.cpu.guarded", seed, nets, pieces)
    last = "\n".join(ran.stdout.splitlines()[-40:])
    assert ran.returncode == 0, f"exit {ran.returncode} after:\n{last}\n{ran.stderr[-2000:]}"
    assert ran.stdout.endswith(" cases\n")


@linux
def test_no_implementation_leaves_its_memory() -> None:
    assert_nothing_faults(nets=6, pieces=12, seed=0)


@linux
@pytest.mark.slow
def test_no_implementation_leaves_its_memory_at_length() -> None:
    assert_nothing_faults(nets=600, pieces=3000, seed=1)


# ------------------------------------------------------------------- what no step declares is NaN


def outputs(model: Compiled, inputs: list[Tensor], *, is_poisoned: bool) -> list[Tensor]:
    """Run the plan step by step; before each, poison what it neither reads nor will be read."""
    plan, stages, batch = model.lowered.plan, model.packed.stages(), len(inputs[0])
    rim = 4096
    whole = torch.zeros(plan.arena * batch + 2 * rim, dtype=model.lowered.dtype)
    arena = whole[rim : len(whole) - rim]
    memory, scratch = PlanMemory(plan, in_batches(plan, batch), arena), Scratch()
    steps: list[list[Call]] = []
    share_threads()
    for step in plan.steps:
        x, (y,) = [memory.slots[i] for i in step.reads], (memory.slots[i] for i in step.writes)
        packed_stage = stages[step.stage]
        scratch.begin()
        steps.append(
            [
                *bind(
                    packed_stage.implementation,
                    packed_stage.problem,
                    packed_stage.packed,
                    x,
                    y,
                    scratch,
                )
            ]
        )  # type: ignore[arg-type]
    scratch.hand_out()
    memory.take_in(inputs)
    with torch.no_grad():
        for number, calls in enumerate(steps):
            if is_poisoned:
                poison(plan, number, batch, whole, arena)
                scratch._memory.fill_(255)  # all bits: NaN in every type
            for call in calls:
                call()
    return [nchw(memory.slots[i]).clone() for i in plan.outputs]


def poison(plan: Plan, number: int, batch: int, whole: Tensor, arena: Tensor) -> None:
    """NaN in all elements but those that were written before a step and are read by it or later."""
    kept = arena.clone()
    whole.fill_(torch.nan)
    for buffer in plan.buffers:
        if buffer.first < number <= buffer.last:
            place = slice(buffer.offset * batch, (buffer.offset + buffer.shape.elements) * batch)
            arena[place] = kept[place]


def assert_poison_changes_nothing(text: str, dtype: torch.dtype) -> None:
    net = loads(text)
    model = netspec.compile(net, dtype=dtype)
    model.load_state_dict(random_tensors(net, dtype))
    inputs = [image.to(dtype) for image in images(net)]
    wanted, poisoned = (outputs(model, inputs, is_poisoned=is_bad) for is_bad in (False, True))
    ran = model(*inputs)
    for y, z, run in zip(poisoned, wanted, ran if isinstance(ran, tuple) else (ran,), strict=True):
        assert y.isfinite().all()
        assert torch.equal(y, z)
        assert torch.equal(y, run)


@pytest.mark.parametrize("dtype", TYPES)
@given(text=specs())
@example(text=READ_TOO_FAR[0])
@example(text=READ_TOO_FAR[1])
@example(text=READ_TOO_FAR[2])
@examples(25)
def test_bytes_that_no_step_declares_change_nothing(dtype: torch.dtype, text: str) -> None:
    assert_poison_changes_nothing(text, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TYPES)
@given(text=specs())
@settings(max_examples=500)
def test_bytes_that_no_step_declares_change_nothing_at_length(
    dtype: torch.dtype, text: str
) -> None:
    assert_poison_changes_nothing(text, dtype)


# ------------------------------------------------------------------------ NaN stays where it was


def assert_a_nan_stays_where_it_was(problem: Problem, place: float) -> None:
    """One element that is NaN makes those results NaN that depend on it, and no others."""
    for implementation in implementations_of(problem):
        # What PyTorch computes is not ours to choose.  Winograd's method spreads a NaN over its
        # tile, and joined pixels are multiplied by zeros.  So the domains of both are finite, and
        # the plain net computes such images.
        if isinstance(implementation, Plain | Winograd | SpaceToDepth):
            continue
        kept = {name: tensor.abs() + 0.01 for name, tensor in tensors(problem).items()}
        x = [one.abs() for one in operands(problem, problem.batch)]
        flat = x[-1].view(-1)
        flat[int(place * len(flat))] = torch.nan
        y, scratch = torch.zeros(problem.batch, *problem.output, dtype=problem.dtype), Scratch()
        with torch.no_grad():
            calls = bind(implementation, problem, implementation.pack(problem, kept), x, y, scratch)
            scratch.hand_out()
            for call in calls:
                call()
        exact = [nchw(one.double()) for one in x]
        doubled = {name: tensor.double() for name, tensor in kept.items()}
        wanted = problem.op.reference(problem.inputs, *exact, **doubled)
        assert not (nchw(y).isnan() & ~wanted.isnan()).any(), (
            type(implementation).__name__,
            problem,
        )


PLACES = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("dtype", TYPES)
@given(data=st.data(), place=PLACES)
@examples(60)
def test_a_nan_reaches_what_depends_on_it_only(
    dtype: torch.dtype, data: st.DataObject, place: float
) -> None:
    share_threads()
    assert_a_nan_stays_where_it_was(data.draw(problems(dtype)), place)


@pytest.mark.parametrize("dtype", TYPES)
@given(data=st.data(), place=PLACES)
@examples(80)
def test_a_nan_reaches_the_windows_that_hold_it_only(
    dtype: torch.dtype, data: st.DataObject, place: float
) -> None:
    """Where oneDNN reads channels of bfloat16 in pairs, the next pixel's would get in."""
    share_threads()
    assert_a_nan_stays_where_it_was(data.draw(problems(dtype, (Conv, ConvRelu))), place)


@pytest.mark.skipif(bool(missing()), reason="it is oneDNN that reads in pairs")
@pytest.mark.skipif(torch.bfloat16 not in TYPES, reason="this CPU multiplies no bfloat16")
@pytest.mark.parametrize("channels", [1, 3, 127])
def test_odd_channels_of_bfloat16_stay_with_the_library(channels: int) -> None:
    """Another of its implementations takes them."""
    op = Conv(kernel=Kernel(3, 3), count=64)
    problem = problem_of(op, (9, 8, channels), dtype=torch.bfloat16)
    assert "onednn" in {implementation.name for implementation in implementations_of(problem)}


@given(st.data())
@settings(max_examples=1, database=None)
def test_every_operator_with_implementations_is_drawn(data: st.DataObject) -> None:
    """``problems`` fails on an operator that it does not know."""
    for kind in IMPLEMENTATIONS:
        assert type(data.draw(problems(torch.float32, (kind,))).op) is kind

"""Steps that run image by image compute the same, in memory that no other value needs."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import netspec
from netspec.backends.cpu import by_image
from netspec.backends.cpu.by_image import places, runs, turns
from netspec.backends.cpu.executor import CpuExecutor
from netspec.lowering.plan import Plan
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from tests.backends.helpers import random_tensors
from tests.examples import examples
from tests.lowering.passes.strategy import specs

NET = """net a(n=3)
input image 17x15x6
a: conv 3x3, 8, pad=1 | relu
b: conv 3x3, 8, pad=1, groups=8 | relu | maxpool 3x3/2
c: concat { conv 1x1, 4; conv 3x3, 4, pad=1 | relu }
d: conv 3x3, 8, pad=1
e: lrn 5 | avgpool 2x2/2
f: fc n | softmax
"""


def model_of(text: str = NET) -> Compiled:
    model = netspec.compile(netspec.loads(text), batch=4)
    model.load_state_dict(random_tensors(model.net, torch.float32))
    return model


@st.composite
def ranges_of(draw: st.DrawFn, count: int) -> list[range]:
    """Ranges of at least two steps, in order."""
    cuts = sorted(draw(st.sets(st.integers(0, count), max_size=6)))
    return [
        range(first, end)
        for first, end in zip(cuts[::2], cuts[1::2], strict=False)
        if end - first > 1
    ]


def run_in_tags(plan: Plan, batch: int, ranges: list[range]) -> None:
    """Run a plan on memory that holds the number of the value in it; reads must find theirs."""
    where, size = places(plan, batch, ranges)
    memory = torch.full((size,), -1)

    def cells(slot: int, image: int) -> tuple[Tensor, int]:
        number = plan.slots[slot].buffer
        start, images = where[number]
        elements = plan.buffers[number].shape.elements
        start += elements * image * (images > 1)
        assert start + elements <= size
        return memory[start : start + elements], number * batch + image

    def write(slot: int, image: int) -> None:
        values, tag = cells(slot, image)
        values.fill_(tag)

    def read(slot: int, image: int) -> None:
        values, tag = cells(slot, image)
        assert (values == tag).all()

    images = range(batch)
    for image, slot in product(images, plan.inputs):
        write(slot, image)
    for number, one in turns(len(plan.steps), batch, ranges):
        step = plan.steps[number]
        for image in images if one is None else [one]:
            for slot in step.reads:
                read(slot, image)
            for slot in step.writes:
                write(slot, image)
    for image, slot in product(images, plan.outputs):
        read(slot, image)


def test_no_step_overwrites_what_another_reads() -> None:
    plan = netspec.compile(netspec.loads(NET)).lowered.plan
    for first, end in combinations(range(len(plan.steps) + 1), 2):
        run_in_tags(plan, 2, [range(first, end)])


@given(st.data())
@examples(60)
def test_no_step_of_random_nets_overwrites_what_another_reads(data: st.DataObject) -> None:
    plan = netspec.compile(netspec.loads(data.draw(specs()))).lowered.plan
    run_in_tags(plan, data.draw(st.integers(2, 3)), data.draw(ranges_of(len(plan.steps))))


@given(st.data())
@examples(40)
def test_every_step_runs_once_for_each_image(data: st.DataObject) -> None:
    count, batch = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    ranges = data.draw(ranges_of(count))
    ran = [*turns(count, batch, ranges)]
    assert len({*ran}) == len(ran)
    for number in range(count):
        is_by_image = any(number in steps for steps in ranges)
        images = [*range(batch)] if is_by_image else [None]
        assert [image for n, image in ran if n == number] == images


def everything_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_image, "LARGE", 1)
    monkeypatch.setattr(by_image, "LEAST_OF_A_THREAD", 1)
    monkeypatch.setattr(by_image, "FEW_OPERATIONS", 1e9)


def ranges_in(model: Compiled, batch: int) -> list[range]:
    executor = model.refresh()
    assert isinstance(executor, CpuExecutor)
    return runs(executor._plan, executor._stages, batch, torch.float32, 1)


def images(batch: int = 4) -> Tensor:
    return torch.randn(batch, 6, 17, 15, generator=torch.Generator().manual_seed(0))


def test_outputs_are_those_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    wanted = model(images())
    assert not ranges_in(model, 4)
    everything_by_image(monkeypatch)
    again = model_of()
    assert ranges_in(again, 4)
    torch.testing.assert_close(again(images()), wanted, rtol=1e-5, atol=1e-6)
    # Another image in the batch does not change one.
    other = images()
    other[2] = -other[2]
    changed = (again(other) - wanted).abs().amax(1)
    assert changed[2] > 1e-3
    assert (changed[[0, 1, 3]] < 1e-5).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_guards_watch_every_image(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    everything_by_image(monkeypatch)
    model = model_of()
    wrong = images()
    wrong[3, 0, 5, 5] = value
    wanted = model.as_reference()(wrong)
    torch.testing.assert_close(model(wrong), wanted, rtol=1e-4, atol=1e-6, equal_nan=True)
    executor = model.refresh()
    assert isinstance(executor, CpuExecutor)
    assert executor(wrong) is None
    assert executor(images()) is not None


def test_the_profile_has_each_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    everything_by_image(monkeypatch)
    model = model_of()
    assert [t.stage for t in model.profile(images())] == [s.stage for s in model.lowered.plan.steps]


def large(net: str | Net) -> list[str]:
    """The operators of the steps that run image by image at a batch of 8."""
    model = netspec.compile(net, batch=8)
    return [model.lowered.plan.steps[n].stage for steps in ranges_in(model, 8) for n in steps]


def test_large_maps_next_to_little_work_are_passed_image_by_image() -> None:
    rows = "a: conv 1x1, 64 | relu\nb: conv 3x3/2, 64, groups=64, pad=1\nc: fc 10"
    assert large(netspec.loads(f"net a\ninput image 112x112x48\n{rows}")) == ["a.relu", "b"]
    assert not large(netspec.loads(f"net a\ninput image 56x56x48\n{rows}"))  # fits in the cache
    dense = rows.replace(", groups=64", "")
    assert not large(netspec.loads(f"net a\ninput image 112x112x48\n{dense}"))  # much work


def test_one_image_runs_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    everything_by_image(monkeypatch)
    assert not ranges_in(model_of(), 1)

"""Steps that run on parts of a batch compute the same, in memory that no other value needs."""

from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import netspec
from netspec.backends.cpu import parts
from netspec.backends.cpu.bound import BoundPlan
from netspec.backends.cpu.executor import CpuExecutor
from netspec.backends.cpu.parts import Stretch, extents, stretches, turns, within
from netspec.lowering.plan import Plan
from netspec.lowering.ranges import Guard
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.runtime.verification import random_images, verify
from tests.backends.cpu.helpers import TYPES
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


def model_of(dtype: torch.dtype = torch.float32) -> Compiled:
    model = netspec.compile(netspec.loads(NET), batch=4, dtype=dtype)
    model.load_state_dict(random_tensors(model.net, dtype))
    return model


@st.composite
def stretches_of(draw: st.DrawFn, count: int) -> list[Stretch]:
    """Stretches of at least two steps, in order."""
    cuts = sorted(draw(st.sets(st.integers(0, count), max_size=6)))
    return [
        Stretch(range(first, end), draw(st.integers(1, 3)))
        for first, end in zip(cuts[::2], cuts[1::2], strict=False)
        if end - first > 1
    ]


def run_in_tags(plan: Plan, batch: int, found: list[Stretch]) -> None:
    """Run a plan on memory that holds the number of the value in it; reads must find theirs."""
    where, size = extents(plan, batch, found)
    memory = torch.full((size,), -1)

    def cells(slot: int, image: int) -> tuple[Tensor, int]:
        number = plan.slots[slot].buffer
        start, images = where[number]
        elements = plan.buffers[number].shape.elements
        start += elements * (image if images == batch else image % images)
        assert start + elements <= size
        return memory[start : start + elements], number * batch + image

    def write(slot: int, image: int) -> None:
        values, tag = cells(slot, image)
        values.fill_(tag)

    def read(slot: int, image: int) -> None:
        values, tag = cells(slot, image)
        assert (values == tag).all()

    for image, slot in product(range(batch), plan.inputs):
        write(slot, image)
    for number, images in turns(len(plan.steps), batch, found):
        step = plan.steps[number]
        for image in images:
            for slot in step.reads:
                read(slot, image)
            for slot in step.writes:
                write(slot, image)
    for image, slot in product(range(batch), plan.outputs):
        read(slot, image)


@pytest.mark.parametrize("images", [1, 2])
def test_no_step_overwrites_what_another_reads(images: int) -> None:
    plan = netspec.compile(netspec.loads(NET)).lowered.plan
    for first, end in combinations(range(len(plan.steps) + 1), 2):
        run_in_tags(plan, 3, [Stretch(range(first, end), images)])


@given(st.data())
@examples(60)
def test_no_step_of_random_nets_overwrites_what_another_reads(data: st.DataObject) -> None:
    plan = netspec.compile(netspec.loads(data.draw(specs()))).lowered.plan
    run_in_tags(plan, data.draw(st.integers(3, 4)), data.draw(stretches_of(len(plan.steps))))


@given(st.data())
@examples(40)
def test_every_step_runs_once_for_each_image(data: st.DataObject) -> None:
    count, batch = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    found = data.draw(stretches_of(count))
    ran = [*turns(count, batch, found)]
    for number in range(count):
        parts_of = [images for n, images in ran if n == number]
        assert [image for images in parts_of for image in images] == [*range(batch)]
        sizes = {stretch.images for stretch in found if number in stretch.steps} or {batch}
        assert max(len(images) for images in parts_of) <= max(sizes)


def everything_in_parts(monkeypatch: pytest.MonkeyPatch, part: int = 1) -> None:
    monkeypatch.setattr(parts, "LARGE", 1)
    monkeypatch.setattr(parts, "PART", part)
    monkeypatch.setattr(parts, "LEAST_OF_A_THREAD", 1)
    monkeypatch.setattr(parts, "FEW_OPERATIONS", 1e9)


def executor_of(model: Compiled) -> CpuExecutor:
    executor = model.refresh()
    assert isinstance(executor, CpuExecutor)
    return executor


def stretches_in(model: Compiled, batch: int, threads: int = 1) -> list[Stretch]:
    executor = executor_of(model)
    return stretches(executor._plan, executor._stages, batch, model.lowered.dtype, threads)


def images() -> Tensor:
    return torch.randn(5, 6, 17, 15, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("part", [1, 2**14])
def test_outputs_are_those_of_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch, part: int, dtype: torch.dtype
) -> None:
    model, x = model_of(dtype), images().to(dtype)
    wanted = model(x)
    assert not stretches_in(model, 5)
    everything_in_parts(monkeypatch, part)
    again = model_of(dtype)
    assert {stretch.images == 1 for stretch in stretches_in(again, 5)} == {part == 1}
    near = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.02, "atol": 1e-3}
    torch.testing.assert_close(again(x), wanted, **near)
    # Another image in the batch does not change one.
    x[2] = -x[2]
    changed = (again(x) - wanted).abs().amax(1)
    assert changed[2] > 5 * near["atol"]
    assert (changed[[0, 1, 3, 4]] <= near["atol"] + near["rtol"]).all()


@given(st.data())
@examples(30)
def test_random_nets_compute_in_parts_what_they_should(data: st.DataObject) -> None:
    net = netspec.loads(data.draw(specs()))
    with pytest.MonkeyPatch.context() as monkeypatch:
        everything_in_parts(monkeypatch, data.draw(st.sampled_from([1, 4000])))
        model = netspec.compile(net)
        model.load_state_dict(random_tensors(net, torch.float32))
        verification = verify(model, random_images(net, batch=3))
    assert verification.error <= verification.allowed


@pytest.mark.parametrize("image", [0, 3, 4])
@pytest.mark.parametrize("part", [1, 2**14])
def test_guards_watch_every_part(monkeypatch: pytest.MonkeyPatch, part: int, image: int) -> None:
    everything_in_parts(monkeypatch, part)
    model = model_of()
    executor, x = executor_of(model), images()
    plan, (stretch, *_) = executor._plan, stretches_in(model, 5)
    watched = [(n, plan.slots[plan.steps[n].writes[0]].buffer) for n in stretch.steps]
    assert {buffer in within(plan, stretch) for _, buffer in watched} == {True, False}
    x[image] *= 1000
    for after, buffer in watched:
        guard = Guard(after, buffer, 100.0)
        bound = BoundPlan(plan, executor._stages, [guard], 5, torch.float32)
        assert bound.run([images()], None) is not None
        assert bound.run([x], None) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_values_out_of_range_are_found(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    everything_in_parts(monkeypatch)
    model, wrong = model_of(), images()
    wrong[3, 0, 5, 5] = value
    wanted = model.as_reference()(wrong)
    torch.testing.assert_close(model(wrong), wanted, rtol=1e-4, atol=1e-6, equal_nan=True)


def test_the_profile_has_each_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(timed.kept for timed in model_of().profile(images()))
    everything_in_parts(monkeypatch)
    model = model_of()
    profile, plan = model.profile(images()), model.lowered.plan
    assert [timed.stage for timed in profile] == [step.stage for step in plan.steps]
    (stretch, *_) = stretches_in(model, 5)
    first, second = plan.steps[stretch.steps.start], profile[stretch.steps.start]
    passed = plan.slots[first.writes[0]].shape.elements
    assert second.kept == passed * 5 * 4


def large(net: Net, batch: int = 8, threads: int = 1) -> list[str]:
    """The steps that run in parts."""
    model = netspec.compile(net, batch=batch)
    found = stretches_in(model, batch, threads)
    return [model.lowered.plan.steps[n].stage for stretch in found for n in stretch.steps]


def test_large_maps_next_to_little_work_are_passed_in_parts() -> None:
    def net(size: int = 112, filters: int = 64, groups: int = 64) -> Net:
        rows = f"a: conv 1x1, {filters} | relu\nb: conv 3x3/2, {filters}, groups={groups}, pad=1"
        return netspec.loads(f"net a\ninput image {size}x{size}x48\n{rows}\nc: fc 10")

    assert large(net()) == ["a.relu", "b"]
    assert large(net(), batch=3) == ["a.relu", "b"]
    assert not large(net(), batch=2)  # fits in the cache
    assert not large(net(size=56))
    assert not large(net(groups=1))  # much work
    assert large(net(), threads=6)  # 0.51 MiB for each
    assert not large(net(), threads=7)
    wide = net(size=28, filters=2048, groups=2048)  # maps of 6.1 MiB, weights of 0.4 MiB
    assert large(wide) == ["a.relu", "b"]


def test_weights_larger_than_a_map_are_not_read_again_for_each_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything_in_parts(monkeypatch)
    rows = "a: conv 1x1, 64 | relu\nb: maxpool 2x2/2\nc: gap | fc 10"
    few, many = (netspec.loads(f"net a\ninput image 8x8x{n}\n{rows}") for n in (32, 128))
    assert large(few)[:2] == ["a.relu", "b.maxpool"]
    assert "a.relu" not in large(many)


def test_parts_are_equal_and_maps_that_no_cache_holds_are_whole() -> None:
    def net(size: int) -> Net:
        return netspec.loads(f"net a\ninput image {size}x{size}x8\na: conv 1x1, 16 | relu\nb: gap")

    model = netspec.compile(net(112), batch=16)  # 0.77 MiB for an image: five in a part
    assert [stretch.images for stretch in stretches_in(model, 16)] == [4]
    assert large(net(512))  # 16 MiB for an image
    assert not large(net(513))


def test_one_image_runs_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    everything_in_parts(monkeypatch)
    assert not stretches_in(model_of(), 1)

"""Whole nets: concatenations in place, siblings in one launch, features, states, memory."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
import torch

import netspec
from netspec.backends.cuda.executor import CudaExecutor
from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Graph, Stage
from netspec.ir.shapes import Shape
from netspec.lowering.plan import Ability, plan
from netspec.runtime.compiled import Compiled
from netspec.runtime.verification import as_tuple, random_images
from tests.backends.cuda.helpers import DEVICE, MAP, assert_exact, both, load_rows, outputs
from tests.kernels.helpers import interpreter_meets_nan

MODULE = """
block inception(n1, r3, n3, r5, n5, np) = concat {
    conv 1x1, n1 | relu
    conv 1x1, r3 | relu | conv 3x3, n3, pad=1 | relu
    conv 1x1, r5 | relu | conv 5x5, n5, pad=2 | relu
    maxpool 3x3/1, pad=1 | conv 1x1, np | relu
}
"""
GOOGLENET = (
    MODULE
    + """
stem: conv 3x3/2, 6, pad=1 | bn eps=1e-3 | relu | lrn 5 | maxpool 2x2/1
a: inception 3, 4, 5, 2, 3, 2
b: inception 2, 3, 2, 3, 2, 1
c: avgpool 3x3/1, pad=1, count_pad=off | conv 1x1, 7 | relu
d: gap | flatten | fc 4 | softmax
"""
)


@pytest.fixture(scope="module")
def googlenet() -> tuple[Compiled, netspec.Model]:
    return both(load_rows(GOOGLENET, MAP))


def test_a_small_googlenet_computes_what_its_reference_does(
    googlenet: tuple[Compiled, netspec.Model],
) -> None:
    assert_exact(*googlenet)


def test_concatenations_move_nothing(googlenet: tuple[Compiled, netspec.Model]) -> None:
    lowered = googlenet[0].lowered
    assert "copy" not in {step.implementation for step in lowered.plan.steps}
    slots = {slot.stage: slot for slot in lowered.plan.slots}
    stages = lowered.graph.operands("a.concat")
    assert [slots[packed_stage].start for packed_stage in stages] == [0, 3, 8, 11]
    assert {slots[packed_stage].buffer for packed_stage in stages} == {slots["a.concat"].buffer}


def test_siblings_are_one_launch_into_places_of_their_own(
    googlenet: tuple[Compiled, netspec.Model],
) -> None:
    (step, *_) = (s for s in googlenet[0].lowered.plan.steps if len(s.writes) == 3)
    model = googlenet[0]
    executor = model.refresh()
    assert isinstance(executor, CudaExecutor)
    bound_plan = executor.bound_plan([torch.zeros(1, 5, 7, 9, dtype=torch.float64)])
    (calls,) = (calls for one, calls in bound_plan.steps if one == step)
    assert len(calls) == 1


@pytest.mark.parametrize("kernel", ["1x1", "3x3"])
@pytest.mark.parametrize("siblings", [2, 5, 9])
def test_any_number_of_siblings_of_any_size(siblings: int, kernel: str) -> None:
    branches = "\n".join(f"    conv {kernel}, {n + 1}, pad=half | relu" for n in range(siblings))
    model, exact = both(load_rows(f"a: concat {{\n{branches}\n}}", MAP))
    (step,) = model.lowered.plan.steps
    assert len(step.writes) == siblings
    assert_exact(model, exact, batch=1)


NETS = {
    "a part that two concatenations read": """
        p: conv 1x1, 3
        q: conv 3x3, 2, pad=1
        r from p, q: concat
        s from q, p: concat
        t from r, s: concat""",
    "a part that stands twice": "p: conv 1x1, 3\nq from p, p: concat",
    "a concatenation in another that is read by itself too": """
        p: conv 1x1, 3
        q: conv 3x3, 2, pad=1
        r from p, q: concat
        s from r: conv 3x3, 4, pad=1
        t from s, r: concat
        u from r, t: concat""",
    "each layer reads what is before it": """
        p: conv 1x1, 3
        q from p: conv 3x3, 2, pad=1
        r from p, q: concat
        s from r: conv 3x3, 4, pad=1
        t from r, s: concat""",
    "the image in a concatenation": "p: conv 1x1, 3\nq from image, p: concat | conv 1x1, 2",
    "vectors in a concatenation": """
        p: gap | flatten
        q from image: fc 3 | relu
        r from q, p, image: concat""".replace(", image: concat", ": concat"),
    "a fully connected layer reads a slice": """
        p: conv 1x1, 3
        q from p: fc 4
        r from image, p: concat | fc 4
        s from q, r: add""",
    "pools and normalisations in a concatenation": """
        p: maxpool 3x3/1, pad=1
        q from image: lrn 3
        r from image: avgpool 3x3/1, pad=1, count_pad=on
        s from image: lrn 3 | maxpool 3x3/1, pad=1
        t from image: tanh
        u from p, q, r, s, t: concat""",
    "slices that are read twice": """
        p: conv 1x1, 3 | relu
        q from image: conv 1x1, 4 | relu
        r from q: maxpool 2x2/1
        s from q: conv 2x2, 3
        t from p: conv 2x2, 3
        u from r, s, t: concat""",
}


@pytest.mark.parametrize("name", NETS)
def test_values_stand_where_they_are_read(name: str) -> None:
    assert_exact(*both(load_rows(NETS[name], MAP)))


def test_several_outputs_and_inputs() -> None:
    header = "net two\ninput left 6x5x3\ninput code 7\n"
    rows = "a from left: conv 3x3, 4 | relu\nb: fc 3\nc from b, code: concat\noutput a, c"
    model, exact = both(load_rows(rows, header))
    assert_exact(model, exact)


def test_features_are_those_of_the_reference(googlenet: tuple[Compiled, netspec.Model]) -> None:
    model, exact = googlenet
    (image,) = random_images(model.net, batch=2)
    labels = ["stem", "a", "a.b2.conv1", "stem.lrn", "b"]
    features = model.features(*labels)
    for y, wanted in zip(features(image), exact.features(*labels)(image), strict=True):
        torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
    assert not any("fc" in step.op for step in features.lowered.plan.steps)


def test_a_state_goes_in_and_comes_out_to_the_bit() -> None:
    net = load_rows(GOOGLENET + "e from b: fc 3\noutput d, e", MAP)
    model = netspec.compile(net, device="cuda", dtype=torch.float32, seed=1)
    wanted = netspec.reference(net, seed=2).state_dict()
    for name, tensor in wanted.items():
        if "running" in name or name.startswith("stem.bn"):
            tensor.uniform_(0.5, 2)
    model.load_state_dict(wanted)
    assert not model.is_unpacked
    state = model.state_dict()
    assert list(state) == list(wanted)
    assert all(torch.equal(state[name].cpu(), wanted[name]) for name in wanted)


def test_copies_and_pickles_give_the_same() -> None:
    model, _ = both(load_rows("a: conv 3x3, 4 | relu | maxpool 2x2/2\nb: fc 3", MAP))
    images = random_images(model.net, batch=2)
    (wanted,) = outputs(model, images)
    for other in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(outputs(other, images)[0], wanted)


def test_changed_parameters_are_packed_again() -> None:
    model, exact = both(load_rows("a: conv 3x3, 4 | relu\nb: fc 3", MAP))
    for one in (model, exact):
        with torch.no_grad():
            one.a.weight.mul_(2)
    assert_exact(model, exact)


def test_what_shares_memory_is_not_needed_at_the_same_time(
    googlenet: tuple[Compiled, netspec.Model],
) -> None:
    """Whatever lay in the arena before a run, nothing of it is read: it is full of NaN."""
    model, _ = googlenet
    plan = model.lowered.plan
    assert plan.arena < plan.total
    images = random_images(model.net, batch=2)
    executor = model.refresh()
    assert isinstance(executor, CudaExecutor)
    (wanted,) = outputs(model, images)
    executor.bound_plan(images).memory.arena.fill_(torch.nan)
    assert torch.equal(outputs(model, images)[0], wanted)


def test_outputs_are_copies_of_their_own() -> None:
    model, _ = both(load_rows("a: conv 1x1, 4 | relu", MAP))
    first, second = (random_images(model.net, batch=2, seed=n) for n in (1, 2))
    (y,) = outputs(model, first)
    kept = y.clone()
    outputs(model, second)
    assert torch.equal(y, kept)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_gradients_of_an_image_are_those_of_the_reference() -> None:
    model, exact = both(load_rows("a: conv 1x1, 4 | relu | lrn 3 | maxpool 2x2/2\nb: fc 3", MAP))
    (image,) = random_images(model.net, batch=2)
    gradients = []
    for one in (model, exact):
        x = image.to(next(one.parameters()).device).requires_grad_()
        as_tuple(one(x))[0].square().sum().backward()
        assert x.grad is not None
        gradients.append(x.grad.cpu())
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)


NOT_FINITE = """
a: conv 3x3, 8, pad=1 | relu | maxpool 3x3/2
b: concat { conv 1x1, 4 | relu; conv 1x1, 3 | relu; maxpool 3x3/1, pad=1 } | relu
c: lrn 5, k=1, alpha=0.5 | maxpool 2x2/1
d: avgpool 2x2/1 | conv 1x1, 6 | bn eps=0.1 | relu
e: gap | flatten | fc 6 | relu | fc 4 | softmax
"""
"""What on a CPU has ReLUs and pools that pass over NaN; our kernels do not."""


@interpreter_meets_nan
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_what_is_not_finite_comes_through(value: float) -> None:
    net = load_rows(NOT_FINITE, MAP)
    model = netspec.compile(net, device="cuda")
    plain = model.as_reference().cpu()
    (image,) = (x.float() for x in random_images(net, batch=2))
    image[1, 2, 3, 4] = value
    rows = "a", "b", "c", "d", "e"
    with torch.no_grad():
        ends = model.features(*rows)(image.to(DEVICE))
        wanted = plain.features(*rows)(image)
    for y, z in zip(ends, wanted, strict=True):
        assert torch.equal(y.cpu().isnan(), z.isnan())
        assert torch.equal(y.cpu().isinf(), z.isinf())


@interpreter_meets_nan
@pytest.mark.parametrize("name", ["a.weight", "b.b1.bias", "d.bn.running_var", "e.fc1.weight"])
def test_parameters_that_are_not_finite_come_through(name: str) -> None:
    net = load_rows(NOT_FINITE, MAP)
    model = netspec.compile(net, device="cuda")
    tensors = model.state_dict()
    tensors[name].view(-1)[1] = torch.nan
    model.load_state_dict(tensors)
    (image,) = (x.float() for x in random_images(net, batch=2))
    with torch.no_grad():
        y, z = model(image.to(DEVICE)).cpu(), model.as_reference().cpu()(image)
    assert torch.equal(y.isnan(), z.isnan())
    assert z.isnan().all()


def merged(slices: list[tuple[int, int]], *, output: bool = False) -> Graph:
    """A 1x1 convolution of 6 filters, and slices of its channels, (start, count) each."""
    graph = load_rows("p: conv 1x1, 6", MAP).graph.copy()
    graph.outputs = ["p"] if output else []
    for number, (start, count) in enumerate(slices):
        stage = Stage(f"s{number}", Slice(start=start, count=count), graph.stage("p").span)
        stage.shape = Shape((7, 9, count))
        graph.add(stage, ("p",))
        graph.outputs.append(stage.name)
    return graph


@pytest.mark.parametrize(
    ("slices", "output", "writes"),
    [
        ([(0, 2), (2, 4)], False, ["s0", "s1"]),
        ([(2, 4), (0, 2)], False, ["s1", "s0"]),
        ([(0, 2), (2, 3)], False, ["p"]),  # the last channel is read by nobody
        ([(0, 2), (1, 5)], False, ["p"]),  # they overlap
        ([(0, 2), (2, 4)], True, ["p"]),  # the whole is read too
    ],
)
def test_slices_are_written_apart_where_they_are_all_that_is_read(
    slices: list[tuple[int, int]], output: bool, writes: list[str]
) -> None:
    slice_plan = plan(merged(slices, output=output), {"p": "triton"}, {"p": Ability(apart=True)})
    (step,) = slice_plan.steps
    assert [slice_plan.slots[i].stage for i in step.writes] == writes
    outputs = {slice_plan.slots[i].stage: slice_plan.slots[i] for i in slice_plan.outputs}
    for number, (start, count) in enumerate(slices):
        slot = outputs[f"s{number}"]
        assert (slot.start, slot.shape.channels) == (start if writes == ["p"] else 0, count)

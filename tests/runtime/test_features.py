from __future__ import annotations

import pytest
import torch
from torch import Tensor

import netspec
from netspec import loads
from netspec.runtime.compiled import Compiled
from netspec.runtime.verification import random_images, tolerance
from tests.backends.helpers import RICH, pair

NEAR = {"rtol": 1e-4, "atol": 1e-5}


def batch(count: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def models() -> tuple[Compiled, netspec.Model]:
    return pair(loads(RICH))


@pytest.mark.parametrize(
    "name", ["lenet5", pytest.param("alexnet", marks=pytest.mark.slow), "googlenet"]
)
def test_every_row_is_that_of_the_reference(name: str) -> None:
    net = netspec.load(name)
    model, plain = netspec.compile(net), netspec.reference(net)
    labels = [*net.graph.inputs, *net.graph.rows]
    images = [i.float() for i in random_images(net)]
    with torch.inference_mode():
        ours, theirs = (one.features(*labels)(*images) for one in (model, plain))
    assert not model.is_unpacked
    for label, y, z in zip(labels, ours, theirs, strict=True):
        assert (y.shape, y.dtype) == (z.shape, z.dtype)
        # both are off by as much as rounding allows; a softmax at the end leaves what is before it
        error = float((y.double() - z.double()).norm() / z.double().norm())
        assert error <= 2 * tolerance(net, torch.float32), label


def test_every_stage_is_that_of_the_reference(models: tuple[Compiled, netspec.Model]) -> None:
    model, plain = models
    for stage in model.net.graph.stages():
        y, z = (one.features(stage.name)(batch()) for one in models)
        torch.testing.assert_close(y, z, **NEAR, msg=stage.name)
    several = ["e", "a", "h", "a", "image"]
    for y, z in zip(*(one.features(*several)(batch()) for one in models), strict=True):
        torch.testing.assert_close(y, z, **NEAR)
    with pytest.raises(KeyError, match="there is no row or stage 'A'"):
        model.features("A")
    assert not model.is_unpacked
    assert plain.net is model.net


def test_what_the_compiled_net_does_without_is_noted(
    models: tuple[Compiled, netspec.Model],
) -> None:
    model, _ = models
    notes = model.features("a.lrn", "a.relu", "c", "h", "d.dropout", "a.conv").notes
    assert notes == [
        f"the compiled rich does not compute {name}: it is computed separately"
        for name in ("a.lrn", "h", "a.conv")
    ]
    assert notes[0] in repr(model.features("a.lrn"))
    assert "e" in repr(model.features("e"))


def test_no_more_is_computed_than_leads_there(models: tuple[Compiled, netspec.Model]) -> None:
    model, _ = models
    assert [s.stage for s in model.features("a.conv").lowered.plan.steps] == ["a.conv"]
    assert model.features("image").lowered.plan.steps == ()
    assert len(model.features("c").lowered.plan.steps) < len(model.lowered.plan.steps)


def test_packed_parameters_are_shared(models: tuple[Compiled, netspec.Model]) -> None:
    model, _ = models
    features = model.features("e")
    features(batch())
    assert not list(features.parameters())
    assert features.state_dict() == {}
    assert len(features.lowered.plan.steps) == len(model.lowered.plan.steps)
    implementation, problem = model.lowered.implementations["d"], model.lowered.problems["d"]
    packed = model.packed.tensors["d"]
    assert implementation.unpack(problem, packed)["weight"].shape == (10, 48)
    with torch.no_grad():
        packed["bias"].add_(1)  # seen by both, because there is one
    assert torch.equal(features(batch()), model(batch()))


def test_features_follow_the_parameters(models: tuple[Compiled, netspec.Model]) -> None:
    model, plain = models
    features = model.features("b", "e")
    features(batch())
    for change in (
        lambda: model.load_state_dict(netspec.reference(model.net, seed=5).state_dict()),
        lambda: model.a.conv.weight.detach().mul_(2),
        lambda: model.train()(batch(4))[0].sum().backward(),  # moves the running statistics
        lambda: model.load_state_dict(netspec.reference(model.net, seed=6).state_dict()),
    ):
        change()
        plain.load_state_dict(model.state_dict())
        for y, z in zip(features(batch()), plain.features("b", "e")(batch()), strict=True):
            torch.testing.assert_close(y, z, **NEAR)


def test_measured_choices_hold_for_features() -> None:
    net = loads(RICH)
    model = netspec.compile(net, choices={"e": "mkldnn", "a.relu": "torch"})
    chosen = model.features("e").lowered.choices
    assert (chosen["e"].implementation, chosen["a.relu"].implementation) == (
        "mkldnn",
        "torch",
    )


def test_activations_are_the_users_own(models: tuple[Compiled, netspec.Model]) -> None:
    model, _ = models
    x = batch().contiguous(memory_format=torch.channels_last)
    before = x.clone()
    features = model.features("image", "a", "a")
    for y in features(x):
        y.zero_()
    assert torch.equal(x, before)
    image, first, second = features(x)
    assert torch.equal(image, x)
    assert torch.equal(first, second)
    assert first.any()

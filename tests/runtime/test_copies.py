"""Copies and pickles of a compiled net have what those of other modules have."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import netspec
from netspec import loads
from netspec.runtime.compiled import Compiled

NET = loads("net small\ninput image 5x5x2\na: conv 3x3, 3, bias=off | bn eps=0.1 | relu\nF: fc 4\n")
X = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(1))
NEAR = {"rtol": 1e-5, "atol": 1e-6}
"""For float32 values of size one, packed from the same numbers."""


def saved(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "torch.save": saved,
}


@pytest.fixture(params=WAYS)
def copied(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


@pytest.fixture
def model() -> Compiled:
    compiled = netspec.compile(NET)
    compiled(X)
    return compiled


def double(module: nn.Module, args: tuple[Any, ...], y: torch.Tensor) -> torch.Tensor:
    return 2 * y


def test_what_is_frozen_stays_frozen(model: Compiled, copied: Callable[[Any], Any]) -> None:
    model.a.requires_grad_(False)
    twin = copied(model)
    wanted = {name: not name.startswith("a.") for name, _ in model.named_parameters()}
    assert {name: p.requires_grad for name, p in twin.named_parameters()} == wanted
    twin.train()(X).sum().backward()
    assert twin.a.conv.weight.grad is None
    assert twin.F.weight.grad is not None
    assert all(p.requires_grad is wanted[n] for n, p in copied(twin).named_parameters())


def test_a_copy_of_the_reference_is_as_frozen(copied: Callable[[Any], Any]) -> None:
    plain = netspec.reference(NET).train()
    plain.a.requires_grad_(False)
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.1)
    twin, other = copied((plain, optimiser))
    assert twin.training
    assert [p.requires_grad for p in twin.parameters()] == [False] * 3 + [True] * 2
    assert {id(p) for p in other.param_groups[0]["params"]} == {id(p) for p in twin.parameters()}
    torch.testing.assert_close(twin.eval()(X), plain.eval()(X), **NEAR)
    with torch.no_grad():
        twin.F.weight.zero_()
    assert plain.F.weight.any()
    assert not twin.features("F")(X).sub(twin.F.bias).any()


def test_packed_parameters_stay_packed(model: Compiled, copied: Callable[[Any], Any]) -> None:
    twin = copied(model)
    assert not model.is_unpacked
    assert not twin.is_unpacked
    assert torch.equal(twin(X), model(X))


def test_an_optimiser_that_is_copied_along_trains_the_copy(
    model: Compiled, copied: Callable[[Any], Any]
) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    twin, other = copied((model, optimiser))
    before, kept = twin(X), model(X)
    assert {id(p) for p in other.param_groups[0]["params"]} == {id(p) for p in twin.parameters()}
    for parameter in twin.parameters():
        parameter.grad = torch.ones_like(parameter)
    other.step()
    assert not torch.allclose(twin(X), before, **NEAR)
    torch.testing.assert_close(twin(X), twin.as_reference()(X), **NEAR)
    assert torch.equal(model(X), kept)


def test_hooks_attributes_and_modules_are_copied(
    model: Compiled, copied: Callable[[Any], Any]
) -> None:
    for is_held in (False, True):
        if is_held:
            list(model.parameters())
        plain = model(X)
        model.register_forward_hook(double)
        model.note, model.head = {"epoch": 3}, nn.Linear(4, 2)
        twin = copied(model)
        torch.testing.assert_close(twin(X), 2 * plain, **NEAR)
        assert (twin.note, twin.note is model.note) == ({"epoch": 3}, False)
        assert torch.equal(twin.head.weight, model.head.weight)
        assert twin.head is not model.head
        model._forward_hooks.clear()


def test_a_replaced_row_is_copied(model: Compiled, copied: Callable[[Any], Any]) -> None:
    model.F = nn.Linear(27, 4)
    twin = copied(model)
    assert isinstance(twin.F, nn.Linear)
    torch.testing.assert_close(twin(X), model(X), **NEAR)
    with torch.no_grad():
        twin.F.weight.zero_()
    torch.testing.assert_close(twin(X), twin.as_reference()(X), **NEAR)
    assert model.F.weight.any()


def test_modes_are_copied(model: Compiled, copied: Callable[[Any], Any]) -> None:
    twin = copied(model.train())
    assert twin.training
    assert twin.is_trained
    assert twin.F.training
    assert not copied(netspec.compile(NET)).is_trained
    assert twin(X)[0].shape == model(X)[0].shape


@pytest.mark.parametrize("is_held", [False, True])
def test_each_parameter_is_pickled_once(is_held: bool) -> None:
    model = netspec.compile(loads("net wide\ninput x 400\na: fc 500\n"))
    if is_held:
        list(model.parameters())
    size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    assert len(pickle.dumps(model)) < 1.05 * size


def test_a_shallow_copy_shares_parameters(model: Compiled) -> None:
    list(model.parameters())
    twin = copy.copy(model)
    assert twin.F.weight is model.F.weight
    with torch.no_grad():
        model.F.weight.mul_(2)
    torch.testing.assert_close(twin(X), model(X), **NEAR)


@pytest.mark.parametrize("is_held", [False, True])
def test_memory_is_shared_with_other_processes(is_held: bool) -> None:
    model = netspec.compile(NET)
    if is_held:
        list(model.parameters())
    wanted = model(X)
    nn.Sequential(model).share_memory()
    assert all(parameter.is_shared() for parameter in model.parameters())
    assert torch.equal(model(X), wanted)

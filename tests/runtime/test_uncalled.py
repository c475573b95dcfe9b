"""A compiled net calls none of the modules that hold its parameters, and says so."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import netspec
from netspec import loads
from netspec.runtime.compiled import Compiled
from netspec.runtime.uncalled import Uncalled

NET = loads("""net small
input image 6x6x2
C: conv 3x3, 4 | bn eps=0.1 | relu
B: concat { conv 1x1, 3 | relu; conv 1x1, 2 | conv 1x1, 2, bias=off }
S: maxpool 2x2/2 | tanh scale=2
F: dropout 0.5 | fc 5
""")
X = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))
PATHS = ["C", "C.conv", "C.bn", "B", "B.b1", "B.b2", "B.b2.conv2", "F"]
PATHS += ["C.relu", "B.b1.relu", "B.concat", "S", "S.maxpool", "S.tanh", "F.dropout"]
WAY_OUT = r"a compiled net does not call the module {}, .*use netspec.reference\(net\)"
NEAR = {"rtol": 1e-4, "atol": 1e-5}
"""For float32 values of size one that went through four stages in two orders."""


@pytest.fixture
def model() -> Compiled:
    compiled = netspec.compile(NET)
    compiled(X)
    return compiled


def nothing(*arguments: Any) -> None:
    raise AssertionError("nobody calls it")


HOOKS = (
    "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_backward_hook",
)  # fmt: skip
AT_ONCE: dict[str, Callable[[nn.Module], Any]] = {
    **{hook: lambda row, hook=hook: getattr(row, hook)(nothing) for hook in HOOKS},
    "prune": lambda row: prune.l1_unstructured(row, "weight", 0.5),
    "prune bias": lambda row: prune.random_unstructured(row, "bias", 1),
    "spectral_norm": spectral_norm,
    "weight_norm": weight_norm,
    "parameter": lambda row: setattr(row, "scale", nn.Parameter(torch.ones(1))),
    "forward": lambda row: setattr(row, "forward", nothing),
    "call": lambda row: row(X),
}


def parameters(model: Compiled) -> list[tuple[str, int]]:
    return [(name, id(parameter)) for name, parameter in model.named_parameters()]


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")
@pytest.mark.parametrize("change", AT_ONCE.values(), ids=AT_ONCE)
def test_what_counts_at_a_call_is_refused_at_once(
    model: Compiled, change: Callable[[nn.Module], Any]
) -> None:
    y, before = model(X), parameters(model)
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        held = parameters(one)
        with pytest.raises(RuntimeError, match=WAY_OUT.format("F")):
            change(one.F)
        assert parameters(one) == held
        assert one.F._buffers == {}
        torch.testing.assert_close(one(X), y, **NEAR)
    assert parameters(model) == before
    assert not model._forward_hooks


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("hook", HOOKS)
def test_every_module_refuses_hooks(model: Compiled, path: str, hook: str) -> None:
    model.train()
    with pytest.raises(RuntimeError, match=WAY_OUT.format(path)):
        getattr(model.get_submodule(path), hook)(nothing)


class Wrapped(nn.Module):
    """A row's own parameters, and something that changes what it computes."""

    def __init__(self, row: nn.Module, **others: Any) -> None:
        super().__init__()
        self.weight, self.bias = row.weight, row.bias
        for name, value in others.items():
            setattr(self, name, value)


def with_hook(row: nn.Module) -> nn.Module:
    linear = nn.Linear(20, 5)
    linear.register_forward_hook(nothing)
    return linear


def with_mask(row: nn.Module) -> nn.Module:
    linear = nn.Linear(20, 5)
    prune.l1_unstructured(linear, "weight", 0.5)
    return linear


REPLACED: dict[str, tuple[str, Callable[[nn.Module], nn.Module]]] = {
    "nothing": ("F", lambda row: nn.Identity()),
    "inside another": ("F", lambda row: nn.Sequential(nn.Linear(20, 5))),
    "more parameters": ("F", lambda row: Wrapped(row, scale=nn.Parameter(torch.ones(1)))),
    "a module inside": ("F", lambda row: Wrapped(row, adapter=nn.Linear(20, 5))),
    "its own forward": ("F", lambda row: Wrapped(row, forward=nothing)),
    "a hook": ("F", with_hook),
    "pruned": ("F", with_mask),
    "spectral": ("F", lambda row: spectral_norm(nn.Linear(20, 5))),
    "a whole branch": ("B.b2", lambda row: nn.Sequential(nn.Conv2d(4, 2, 1))),
    "a block": ("B", lambda row: nn.Identity()),
    "another activation": ("B.b1.relu", lambda row: nn.LeakyReLU()),
    "the same activation": ("C.relu", lambda row: nn.ReLU()),
    "a row without parameters": ("S", lambda row: nn.MaxPool2d(2)),
    "a part of such a row": ("S.tanh", lambda row: nn.Identity()),
}


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(("path", "made"), REPLACED.values(), ids=REPLACED)
def test_another_module_is_refused_at_the_next_run(
    model: Compiled, path: str, made: Callable[[nn.Module], nn.Module], is_late: bool
) -> None:
    y, row = model(X), model.get_submodule(path)
    if is_late:
        list(model.parameters())
        model(X)
    features = model.features("F")
    if is_late:
        features(X.clone().requires_grad_())
    model.set_submodule(path, made(row))
    runs: list[Callable[[], Any]] = [
        lambda: model.eval()(X),
        lambda: model.train()(X),
        lambda: model.eval()(X.clone().requires_grad_()),
        lambda: model.eval().features("F")(X),
        lambda: features(X),
        lambda: features(X.clone().requires_grad_()),
    ]
    for run in runs:
        with pytest.raises(RuntimeError, match=WAY_OUT.format(path)):
            run()
    model.set_submodule(path, row)
    assert torch.equal(model.eval()(X), y)
    model.train()(X)


@pytest.mark.parametrize("path", ["C.relu", "S.maxpool"])
def test_a_forward_set_on_a_module_of_pytorch_is_refused_at_the_next_run(
    model: Compiled, path: str
) -> None:
    y, row = model(X), model.get_submodule(path)
    row.forward = nothing
    for one in (model, copy.deepcopy(model)):
        for x in (X, X.clone().requires_grad_()):
            with pytest.raises(RuntimeError, match=f"{path}, which has a forward of its own"):
                one(x)
    del row.forward
    torch.testing.assert_close(model(X), y, **NEAR)


def test_a_hook_on_a_module_that_only_holds_parameters_is_seen(model: Compiled) -> None:
    model.F = nn.Linear(20, 5)
    torch.testing.assert_close(model(X), model.as_reference()(X), **NEAR)
    handle = model.F.register_forward_pre_hook(nothing)
    for one in (model, copy.deepcopy(model)):
        with pytest.raises(RuntimeError, match="F, which has hooks"):
            one(X)
    handle.remove()
    prune.l1_unstructured(model.F, "weight", 0.5)
    with pytest.raises(RuntimeError, match="F, which has hooks"):
        model(X)
    prune.remove(model.F, "weight")
    torch.testing.assert_close(model(X), model.as_reference()(X), **NEAR)
    assert (model.F.weight == 0).sum() == 50


def test_a_parametrisation_counts(model: Compiled) -> None:
    for change in (parametrizations.spectral_norm, parametrizations.weight_norm):
        before = model(X)
        change(model.C.conv)
        with torch.no_grad():
            model.C.conv.bias.add_(0.1)
        assert not torch.allclose(model(X), before, **NEAR)
        torch.testing.assert_close(model(X), model.as_reference()(X), **NEAR)
        nn.utils.parametrize.remove_parametrizations(model.C.conv, "weight")
    assert isinstance(model.C.conv, Uncalled)


@pytest.mark.parametrize("path", ["C", "C.bn", "F"])
def test_a_row_cannot_be_frozen_while_the_net_trains(model: Compiled, path: str) -> None:
    model.train()
    model.C.conv.eval()  # which computes the same in both modes
    model.B.eval()
    model(X)
    model.get_submodule(path).eval()
    with pytest.raises(RuntimeError, match=f"{path}, which is in evaluation mode"):
        model(X)
    model.train()(X)


def test_hooks_on_the_whole_net_run(model: Compiled) -> None:
    """A global hook sees what is called, which is the net."""
    seen: list[nn.Module] = []
    handles = [
        model.register_forward_hook(lambda module, x, y: seen.append(module)),
        register_module_forward_hook(lambda module, x, y: seen.append(module)),
        register_module_forward_pre_hook(lambda module, x: seen.append(module)),
    ]
    try:
        model(X)
        assert seen == [model] * 3
        seen.clear()
        model.train()(X)
        assert seen.count(model) == 3
        assert not {*seen} & {*model.children()}
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.filterwarnings("ignore::UserWarning:captum")  # that it hangs hooks on modules
def test_captum_is_told_that_the_modules_are_not_called(model: Compiled) -> None:
    """It finds them by their class; without its hooks it would answer with the plain gradient."""
    from captum import attr

    list(model.parameters())
    attempts: list[tuple[str, Callable[[], Any]]] = [
        (r"\S+relu", lambda: attr.GuidedBackprop(model).attribute(X, target=1)),
        (r"\S+relu", lambda: attr.Deconvolution(model).attribute(X, target=1)),
        (r"\S+", lambda: attr.DeepLift(model).attribute(X, 0 * X, target=1)),
        ("B", lambda: attr.LayerActivation(model, model.B).attribute(X)),
        ("S", lambda: attr.LayerGradCam(model, model.S).attribute(X, target=1)),
    ]
    for path, attempt in attempts:
        with pytest.raises(RuntimeError, match=WAY_OUT.format(path)):
            attempt()
    assert attr.Saliency(model).attribute(X, target=1).shape == X.shape

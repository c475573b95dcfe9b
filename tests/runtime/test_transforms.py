"""What PyTorch makes of a call is right, or refused with a way out; never silently of nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd import functional as classic
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import netspec
from netspec import loads
from netspec.runtime.compiled import Compiled

NET = loads("net small\ninput image 5x5x2\na: conv 3x3, 3 | tanh\nF: fc 4 | tanh\n")
X = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(1))
V = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(2))
NEAR = {"rtol": 1e-5, "atol": 1e-6}
"""The same operations on both sides, for values of size one."""

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")
# which PyTorch does itself

Function = Callable[[Tensor], Tensor]


def squares(model: Function) -> Function:
    return lambda x: model(x).square().sum()


@pytest.fixture(params=[False, True], ids=["packed", "held"])
def model(request: pytest.FixtureRequest) -> Compiled:
    """What a transform makes is the same whether parameters were asked for before it or not."""
    compiled = netspec.compile(NET)
    compiled(X)
    if request.param:
        list(compiled.parameters())
    return compiled


def dual(model: Function) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(model(forward_ad.make_dual(X, V))).tangent


def by_parameters(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters()}


def with_parameters(model: nn.Module) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda parameters: torch.func.functional_call(model, parameters, (X,))


DERIVATIVES: dict[str, Callable[[nn.Module], object]] = {
    "jvp": lambda m: torch.func.jvp(m, (X,), (V,)),
    "grad": lambda m: torch.func.grad(squares(m))(X),
    "vjp": lambda m: torch.func.vjp(m, X)[1](torch.ones(2, 4)),
    "jacrev": lambda m: torch.func.jacrev(m)(X),
    "functionalize": lambda m: torch.func.functionalize(m)(X),
    "dual level": dual,
    "grad of grad": lambda m: torch.func.grad(
        lambda x: torch.func.grad(squares(m))(x).square().sum()
    )(X),
    "grad of parameters": lambda m: torch.func.grad(
        lambda parameters: with_parameters(m)(parameters).square().sum()
    )(by_parameters(m)),
    "jvp of parameters": lambda m: torch.func.jvp(
        with_parameters(m), (by_parameters(m),), (by_parameters(m),)
    ),
    "jacrev of parameters": lambda m: torch.func.jacrev(with_parameters(m))(by_parameters(m)),
    "classic jvp": lambda m: classic.jvp(m, X, V),
    "classic vjp": lambda m: classic.vjp(m, X, torch.ones(2, 4)),
    "classic hvp": lambda m: classic.hvp(squares(m), X, V),
    "classic vhp": lambda m: classic.vhp(squares(m), X, V),
    "classic jacobian": lambda m: classic.jacobian(m, X),
    "classic jacobian, vectorised": lambda m: classic.jacobian(m, X, vectorize=True),
    "gradients": lambda m: torch.autograd.grad(m(X.clone().requires_grad_()).sum(), m.F.weight),
    "vmap of vectors": lambda m: torch.vmap(vectors(m))(torch.ones(3, 2, 6)),
    "jacfwd of vectors": lambda m: torch.func.jacfwd(vectors(m))(torch.ones(2, 6)),
    "hessian of vectors": lambda m: torch.func.hessian(squares(vectors(m)))(torch.ones(2, 6)),
}


def vectors(model: nn.Module) -> nn.Module:
    """A net of the same kind that has vectors only."""
    net = loads("net vectors\ninput x 6\na: fc 5 | tanh\nb: fc 3 | tanh\n")
    return netspec.compile(net) if isinstance(model, Compiled) else netspec.reference(net)


@pytest.mark.parametrize("what", DERIVATIVES)
def test_derivatives_are_those_of_the_reference(model: Compiled, what: str) -> None:
    before, state = model(X), model.state_dict()
    wanted = DERIVATIVES[what](model.as_reference())
    torch.testing.assert_close(DERIVATIVES[what](model), wanted, **NEAR)
    assert torch.equal(model(X).detach(), before) or model.is_unpacked
    torch.testing.assert_close(model(X), before, **NEAR)
    after = model.state_dict()  # no tensor of the transform is left in the model
    assert all(torch.equal(after[name], state[name]) for name in state)
    assert all(type(p) is nn.Parameter and p.is_leaf for p in model.parameters())


def test_derivatives_of_activations_are_those_of_the_reference(model: Compiled) -> None:
    ours, theirs = model.features("a"), model.as_reference().features("a")
    torch.testing.assert_close(
        torch.func.jvp(ours, (X,), (V,)), torch.func.jvp(theirs, (X,), (V,)), **NEAR
    )


def test_gradcheck_passes_in_both_modes() -> None:
    model = netspec.compile(NET, dtype=torch.float64)
    x = X[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(model, (x,), check_forward_ad=True, fast_mode=True)


@pytest.mark.parametrize("transform", [torch.vmap, torch.func.jacfwd, torch.func.hessian])
def test_what_vmap_cannot_do_is_said(
    model: Compiled, transform: Callable[..., Callable[[Tensor], object]]
) -> None:
    function = squares(model) if transform is torch.func.hessian else model
    for call in (function, model.features("a")):
        with pytest.raises(RuntimeError, match=r"channels-last maps.*use jacrev, vjp or jvp"):
            transform(call)(X[:, None] if transform is torch.vmap else X)


# ------------------------------------------------------------------------ what sees no operations


def fake() -> torch._subclasses.FakeTensorMode:
    return torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True)


def counted(call: Callable[[], object]) -> None:
    with FlopCounterMode(display=False):
        call()


def faked(call: Callable[[], object]) -> None:
    with fake():
        call()


RECORDED: dict[str, Callable[[Callable[[Tensor], Tensor]], object]] = {
    "make_fx": lambda m: make_fx(m)(X),
    "make_fx of grad": lambda m: make_fx(torch.func.grad(squares(m)))(X),
    "make_fx, symbolic": lambda m: make_fx(m, tracing_mode="symbolic")(X),
    "linearize": lambda m: torch.func.linearize(m, X),
    "jit.trace": lambda m: torch.jit.trace(m, (X,), check_trace=False),
    "a counter of operations": lambda m: counted(lambda: m(X)),
    "a fake run": lambda m: faked(lambda: m(X)),
    "a fake image": lambda m: faked(lambda: m(torch.rand(2, 2, 5, 5))),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
@pytest.mark.parametrize("what", RECORDED)
def test_what_records_operations_is_refused(model: Compiled, what: str) -> None:
    before = model(X)
    for call in (model, model.features("a")):
        with pytest.raises(RuntimeError, match=r"sees PyTorch's operations only.*use netspec.ref"):
            RECORDED[what](call)
    assert torch.equal(model(X), before)


def test_scripting_is_refused(model: Compiled) -> None:
    with pytest.raises(RuntimeError, match=r"torch.jit.script sees.*use netspec.reference\(net\)"):
        torch.jit.script(model)


@pytest.mark.parametrize("strict", [False, True])
def test_export_is_refused(model: Compiled, strict: bool) -> None:
    with pytest.raises(RuntimeError, match=r"torch.export sees.*use netspec.reference\(net\)"):
        torch.export.export(model, (X,), strict=strict)


def test_a_fake_image_is_refused_outside_its_mode_as_well(model: Compiled) -> None:
    with fake() as mode:
        image = mode.from_tensor(X)
    for call in (model, model.features("a"), model.profile):
        with pytest.raises(TypeError, match="small takes plain tensors, not FakeTensor"):
            call(image)


def test_nothing_fake_gets_into_a_model(model: Compiled) -> None:
    before, packed = model(X), netspec.compile(NET)
    for call in (
        lambda: netspec.compile(NET),
        lambda: copy.deepcopy(model),
        lambda: model.load_state_dict(model.state_dict()),
        lambda: packed.load_state_dict(netspec.reference(NET).state_dict()),
        packed.train,
        packed.state_dict,
        lambda: list(packed.parameters()),
        lambda: model.profile(X),
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"FakeTensorMode|is a FakeTensor"):
            faked(call)
    for one in (model, packed):
        torch.testing.assert_close(one(X), before, **NEAR)
        assert all(type(t) is Tensor for t in one.state_dict().values())


def test_a_compiled_call_is_a_call(model: Compiled) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager")
    for x in (X, V):
        torch.testing.assert_close(compiled(x), model.as_reference()(x), **NEAR)
    with torch.no_grad():
        model.F.weight.mul_(2)
    torch.testing.assert_close(compiled(X), model.as_reference()(X), **NEAR)
    torch._dynamo.reset()


def test_a_whole_graph_is_refused(model: Compiled) -> None:
    torch._dynamo.reset()
    with pytest.raises(RuntimeError, match=r"use netspec.reference\(net\)"):
        torch.compile(model, backend="eager", fullgraph=True)(X)
    torch._dynamo.reset()

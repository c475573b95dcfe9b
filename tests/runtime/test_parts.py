"""Rows, branches and stages of the reference are modules that are called."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

import netspec
from netspec import loads
from netspec.ir.ops.relu import Relu
from netspec.ir.parameter_names import RESERVED, module_path
from netspec.runtime.modules import order_of_names
from netspec.runtime.operations import groups_of, lower, needed
from netspec.runtime.parts import Part
from netspec.runtime.reference import Model
from netspec.runtime.uncalled import Uncalled
from netspec.runtime.verification import as_tuple
from tests.backends.helpers import RICH
from tests.lowering.passes.helpers import images, random_model, run
from tests.lowering.passes.strategy import specs

BLOCKS = """net blocks
block res(n) = {
    a: conv 3x3, n, pad=1 | bn eps=0.1 | relu
    b: conv 3x3, n, pad=1
    c from a, b: add | relu
}
block fork = {
    left: conv 1x1, 2
    right: relu
    output left, right
}
input image 6x6x3
x: res 4 | relu
y: res 4 | res 4 | conv 1x1, 5 | tanh
z: concat { conv 1x1, 3 | maxpool 3x3/1, pad=1; concat { res 2; relu } } | dropout 0.5 | conv 1x1, 2
f: fork
w: concat
out from w, y: concat | gap | fc 3 | softmax
head aux from z, weight=0.5: fc 3 | sigmoid | dropout 0.5
"""
NET = loads("""net small
input image 6x6x2
C: conv 3x3, 4 | relu
B: concat { conv 1x1, 3 | bn eps=0.1 | relu; relu }
F: fc 5
""")
X = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
few = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@pytest.fixture
def model() -> Model:
    return random_model(NET)


def calls_of(model: Model, inputs: list[Tensor]) -> tuple[Any, dict[str, list[Any]]]:
    """The model's output, and the operands and outputs of each call of its modules, by path."""
    calls: dict[str, list[Any]] = {}

    def hook(path: str) -> Callable[..., None]:
        return lambda module, x, y: calls.setdefault(path, []).append((x, y))

    handles = [m.register_forward_hook(hook(path)) for path, m in model.named_modules() if path]
    try:
        return model(*inputs), calls
    finally:
        for handle in handles:
            handle.remove()


def same(x: Tensor, y: Tensor) -> bool:
    return torch.allclose(x, y, rtol=0, atol=0, equal_nan=True)


def assert_every_module_is_called_once(net: netspec.Net) -> None:
    graph, model, inputs = net.graph, random_model(net), images(net)
    reached = needed(graph, graph.outputs)
    groups = {n: g for n, g in groups_of(graph).items() if not reached.isdisjoint(g.stages)}
    with torch.no_grad():
        _, calls = calls_of(model, inputs)
        values = dict(zip(reached, run(model, graph, inputs, [*reached]), strict=True))
        rows = [label for label, row in graph.rows.items() if row.output in reached]
        features = dict(zip(rows, as_tuple(model.features(*rows)(*inputs)), strict=True))
    assert {path: len(made) for path, made in calls.items()} == {
        module_path(name): 1 for name in groups
    }
    for name, group in groups.items():
        ((operands, value),) = calls[module_path(name)]
        assert all(map(same, operands, [values[x] for x in group.inputs])), name
        assert all(map(same, as_tuple(value), [values[x] for x in group.outputs])), name
    for label in rows:
        ((_, value),) = calls[module_path(label)]
        assert same(as_tuple(value)[-1], features[label]), label
    for stage in graph.stages():
        if isinstance(stage.op, Relu):
            assert type(model.get_submodule(module_path(stage.name))) is nn.ReLU
    assert list(model.state_dict()) == order_of_names(graph)


def assert_same_as_one_function(net: netspec.Net) -> None:
    """To the bit, in both modes: what modules compute is what is recorded without any."""
    model, inputs = random_model(net), images(net)
    for mode in (False, True):
        results = []
        for one in (model.train(mode), fx.GraphModule(model, lower(net.graph, training=mode))):
            torch.manual_seed(3)
            results.append(one(*inputs))
        torch.testing.assert_close(*results, rtol=0, atol=0, equal_nan=True)


@few
@given(specs())
def test_every_module_of_a_net_is_called_once(text: str) -> None:
    assert_every_module_is_called_once(loads(text))


@few
@given(specs())
def test_modules_compute_what_one_function_does(text: str) -> None:
    assert_same_as_one_function(loads(text))


@pytest.mark.parametrize("text", [BLOCKS, RICH])
def test_every_module_of_blocks_is_called_once(text: str) -> None:
    assert_every_module_is_called_once(loads(text))
    assert_same_as_one_function(loads(text))


def test_the_kinds_of_modules() -> None:
    model = netspec.reference(loads(BLOCKS))
    kinds = {path: type(module) for path, module in model.named_modules()}
    assert (kinds["x"], kinds["y.res2.c"], kinds["z.b1"]) == (Part, Part, Part)
    assert (kinds["y.tanh"], kinds["out.softmax"], kinds["aux.sigmoid"]) == (
        nn.Tanh, nn.Softmax, nn.Sigmoid
    )  # fmt: skip
    assert kinds["z.b1.maxpool"] is nn.MaxPool2d
    assert not any(getattr(module, "inplace", False) for module in model.modules())
    assert "torch.conv2d" in model.z.b1.code
    assert "self.relu(" in model.x.code
    assert "self.x(" in model.code


def test_modes_of_a_row_are_its_own() -> None:
    model = netspec.reference(
        loads("net n\ninput x 40\na: bn eps=0.1\nb: dropout 0.5 | fc 40")
    ).train()
    x = torch.randn(8, 40)
    model.a.eval()
    model(x)
    assert not model.a.running_mean.any()
    model.a.train()
    model(x)
    assert model.a.running_mean.any()
    model.eval()
    assert torch.equal(model(x), model(x))
    model.b.train()
    assert not torch.equal(model(x), model(x))
    twin = copy.deepcopy(model)
    assert (twin.training, twin.a.training, twin.b.training) == (False, False, True)


def test_a_row_with_the_name_of_a_branch_is_not_called_and_says_so() -> None:
    text = """net clash
block two = {
    b1: conv 1x1, 3 | bn eps=0.1
    c: relu
}
input image 4x4x2
a: two | concat { conv 1x1, 2 | tanh; relu }
"""
    net = loads(text)
    model = random_model(net)
    message = r"the reference does not call the module a\.b1, .*: .* have this name, rename one"
    with pytest.raises(RuntimeError, match=message):
        model.a.b1.register_forward_hook(print)
    assert "a.b1" not in groups_of(net.graph)
    assert_same_as_one_function(net)


# ----------------------------------------------------------------------------------- what hangs on


def test_hooks_see_and_change_what_goes_through(model: Model) -> None:
    y = model(X)
    row = model.features("B")(X)
    handle = model.B.register_forward_hook(lambda module, x, y: 2 * y)
    double = model(X)
    assert torch.equal(double, model.F(2 * row))
    assert not torch.equal(double, y)
    assert torch.equal(model.features("B")(X), 2 * row)
    handle.remove()
    model.F.register_forward_pre_hook(lambda module, x: (0 * x[0],))
    assert torch.equal(model(X), model.F.bias.expand(4, 5))


def test_backward_hooks_have_the_gradients_of_a_row(model: Model) -> None:
    seen: list[Tensor] = []
    x = X.clone().requires_grad_()
    model.B.register_full_backward_hook(lambda module, into, out: seen.extend([*into, *out]))
    model(x).sum().backward()
    into, out = seen
    before, after = (v.detach() for v in model.features("C", "B")(X))
    wanted = torch.autograd.functional.vjp(lambda v: model.F(v).sum(), after)[1]
    torch.testing.assert_close(out, wanted)
    torch.testing.assert_close(into, torch.autograd.functional.vjp(model.B, before, wanted)[1])


def pruned(row: nn.Module) -> Tensor:
    prune.l1_unstructured(row, "weight", 0.5)
    return row.weight_orig * (row.weight_orig.abs() > row.weight_orig.abs().median())


def spectral(row: nn.Module) -> Tensor:
    """With the estimate of the largest singular value, as many steps make it exact."""
    weight = row.weight.detach().clone()
    spectral_norm(row, n_power_iterations=100)
    return weight / torch.linalg.matrix_norm(weight, 2)


def normalised(row: nn.Module) -> Tensor:
    weight = row.weight.detach().clone()
    weight_norm(row)
    with torch.no_grad():
        row.weight_g.mul_(3)
    return 3 * weight


def parametrised(row: nn.Module) -> Tensor:
    parametrizations.weight_norm(row)
    with torch.no_grad():
        row.parametrizations.weight.original1.neg_()
    return row.weight.detach()


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")
@pytest.mark.parametrize("change", [pruned, spectral, normalised, parametrised])
def test_weights_that_are_computed_at_a_call(
    model: Model, change: Callable[[nn.Module], Tensor]
) -> None:
    model.F.train()  # in which a spectral norm is estimated
    before = model(X)
    row = model.features("B")(X).flatten(1)
    weight = change(model.F)
    y = model(X)
    assert not torch.allclose(y, before, rtol=1e-3)
    # sums of 112 products in float64, and 100 steps of a power iteration
    torch.testing.assert_close(y, row @ weight.T + model.F.bias, rtol=1e-5, atol=1e-5)


def test_another_module_in_the_place_of_a_row_or_branch_is_called(model: Model) -> None:
    row = model.features("B")
    model.F = nn.Sequential(nn.Flatten(), nn.Linear(7 * 16, 2, dtype=torch.float64))
    model.C.relu = nn.LeakyReLU(0.3)
    conv = model.C
    y = model(X)
    leaky = nn.functional.conv2d(X, conv.weight, conv.bias)
    leaky = nn.functional.leaky_relu(leaky, 0.3)
    torch.testing.assert_close(y, model.F(model.B(leaky)))
    torch.testing.assert_close(row(X), model.B(leaky))
    twin = pickle.loads(pickle.dumps(model))
    assert torch.equal(twin(X), y)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_have_hooks_modes_and_attributes(model: Model, way: Callable[[Any], Any]) -> None:
    model.register_forward_hook(double)
    model.C.register_forward_hook(double)
    model.note = {"epoch": 3}
    model.B.b1.bn.train()
    twin = way(model)
    model.B.b1.bn.eval(), twin.B.b1.bn.eval()
    assert torch.equal(twin(X), model(X))
    assert twin.note == {"epoch": 3}
    model._forward_hooks.clear(), model.C._forward_hooks.clear()
    assert not torch.equal(twin(X), model(X))
    with pytest.raises(ValueError, match="takes image"):
        twin(X, X)


def double(module: nn.Module, x: tuple[Any, ...], y: Tensor) -> Tensor:
    return 2 * y


def test_a_row_can_be_used_and_copied_alone(model: Model) -> None:
    backbone = nn.Sequential(*list(model.children())[:-1])
    assert torch.equal(backbone(X), model.features("B")(X))
    for row in (copy.deepcopy(model.C), pickle.loads(pickle.dumps(model.C))):
        assert torch.equal(row(X), model.C(X))
        assert row.weight is not model.C.weight


# ------------------------------------------------------------------------------------- features


def test_features_are_at_inference_and_leave_modes_as_they_are(model: Model) -> None:
    wanted = model.features("B")(X)
    mean = model.B.b1.bn.running_mean.clone()
    model.train()
    model.C.eval()
    modes = [module.training for module in model.modules()]
    assert torch.equal(model.features("B")(X), wanted)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model.B.b1.bn.running_mean, mean)


def test_features_inside_what_changed_are_refused(model: Model) -> None:
    inside, whole = model.features("C.conv"), model.features("C")
    assert (inside(X) < 0).any()
    handle = model.C.register_forward_hook(double)
    with pytest.raises(RuntimeError, match="inside C, which has hooks"):
        inside(X)
    whole(X)
    handle.remove()
    assert (inside(X) < 0).any()
    model.C = nn.Conv2d(2, 4, 3, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="inside C, which is of class Conv2d now"):
        inside(X)
    assert (whole(X) < 0).any()


def test_words_of_parts_are_reserved() -> None:
    model = netspec.reference(NET)
    for module in (model.C, Uncalled("a", ())):
        assert {name for name in dir(module) if not name.startswith("__")} <= RESERVED | {"relu"}

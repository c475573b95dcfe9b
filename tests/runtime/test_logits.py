"""Logits: what stands before a softmax at the end, of compiled nets and of the reference."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.functional_tensor import FunctionalTensorMode
from torch.nn.utils import parametrize, prune

import netspec
from netspec import loads
from netspec.ir.logits import final_softmax
from netspec.runtime.compiled import Compiled
from netspec.runtime.reference import Model
from netspec.runtime.verification import as_tuple
from tests.backends.helpers import pair, random_tensors
from tests.examples import examples
from tests.lowering.passes.helpers import images
from tests.lowering.passes.strategy import specs

NEAR = {"rtol": 1e-9, "atol": 1e-11}
"""Values of size one in float64 after a handful of stages in two orders: 1e-16 times hundreds."""

NET = loads("""net small
input image 6x6x2
C: conv 3x3, 4 | bn eps=0.1 | relu
D: dropout 0.5
out: fc 5 | softmax
head h from C, weight=0.3: gap | fc 5 | softmax
""")
PLAIN = loads("net plain\ninput image 6x6x2\nC: conv 3x3, 4 | relu\nout: fc 5 | softmax\n")
X = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 4])
ENDS = (
    "",
    "softmax",
    "tanh | softmax",
    "softmax | identity",
    "gap | softmax | flatten",
    "softmax | tanh",
)


def model_of(kind: str, net: netspec.Net = PLAIN) -> Any:
    made = netspec.reference if kind == "reference" else netspec.compile
    model = made(net, dtype=torch.float64)
    model.load_state_dict(random_tensors(net, torch.float64))
    return model


@pytest.fixture(params=["compiled", "reference"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reference() -> Model:
    return model_of("reference")  # type: ignore[no-any-return]


def with_ends(text: str, draw: Callable[[tuple[str, ...]], str]) -> str:
    """Give each output of a spec, if it is a map or a vector, an end from ENDS."""
    *lines, last = text.replace("\n\n", "\n").rstrip().split("\n")
    place = next(i for i, line in enumerate([*lines, last]) if line.startswith("output "))
    lines.append(last)
    labels = lines[place].removeprefix("output ").split(", ")
    net, outputs = loads(text), []
    for number, label in enumerate(labels):
        end = draw(ENDS)
        if not net.graph.stage(net.graph.outputs[number]).known_shape.is_map:
            end = end.replace("gap | ", "")
        outputs.append(f"end{number}" if end else label)
        if end:
            lines.insert(place, f"end{number} from {label}: {end}")
            place += 1
    lines[place] = f"output {', '.join(outputs)}"
    return "\n".join(lines) + "\n"


def both(answer: Any, net: netspec.Net, training: bool) -> list[Tensor]:
    """The outputs of an answer, and then those of its heads."""
    if not training or not net.graph.heads:
        return [*as_tuple(answer)]
    outputs, heads = answer
    assert list(heads) == list(net.graph.heads)
    return [*as_tuple(outputs), *heads.values()]


def assert_softmax_gives_the_outputs(net: netspec.Net) -> None:
    ends = [*net.graph.outputs, *(head.output for head in net.graph.heads.values())]
    inputs = images(net)
    for model in pair(net, torch.float64):
        for training, has_gradients in ((False, False), (False, True), (True, True)):
            results = []
            for name in ("logits", "__call__"):
                twin = copy.deepcopy(model).train(training)
                torch.manual_seed(3)
                with torch.set_grad_enabled(has_gradients):
                    answer = getattr(twin, name)(*inputs)
                results.append((both(answer, net, training), twin.state_dict()))
            (logits, ours), (outputs, wanted) = results
            assert len(logits) == len(outputs)
            for end, z, y in zip(ends, logits, outputs, strict=False):
                assert z.shape == y.shape
                ours_of_end = z if final_softmax(net.graph, end) is None else z.softmax(1)
                torch.testing.assert_close(ours_of_end, y, **NEAR, equal_nan=True)
            for name, tensor in wanted.items():  # running statistics move once
                torch.testing.assert_close(ours[name], tensor, **NEAR, equal_nan=True)


@given(specs(), st.randoms(use_true_random=False))
@example("net a\ninput x 3x3x2\na: fc 3 | softmax\nb: fc 2 | softmax\noutput a, b\n", None)
@example("net a\ninput x 3x3x2\na: softmax\nb: conv 1x1, 2 | softmax\noutput a, b\n", None)
@example("net a\ninput x 3x3x2\na: fc 3\nb: softmax | softmax\noutput a, b\n", None)
@examples(40)
def test_the_softmax_of_logits_is_the_output(text: str, drawn: random.Random | None) -> None:
    assert_softmax_gives_the_outputs(
        loads(with_ends(text, drawn.choice) if drawn is not None else text)
    )


def test_without_heads_a_net_in_training_returns_a_tensor(kind: str) -> None:
    model = model_of(kind).train()
    assert model(X).shape == model.logits(X).shape == (4, 5)
    two = loads("net n\ninput x 6x6x2\na: fc 2\nb from x: fc 3 | softmax\noutput a, b")
    for answer in (model_of(kind, two).train()(X), model_of(kind, two).train().logits(X)):
        assert [type(answer), *(y.shape for y in answer)] == [tuple, (4, 2), (4, 3)]


def test_with_heads_a_net_in_training_returns_them_too(kind: str) -> None:
    model = model_of(kind, NET)
    assert model.eval().logits(X).shape == (4, 5)
    logits, heads = model.train().logits(X)
    assert (logits.shape, {name: y.shape for name, y in heads.items()}) == ((4, 5), {"h": (4, 5)})
    assert (logits < 0).any()
    assert (heads["h"] < 0).any()


@pytest.mark.parametrize("training", [False, True])
def test_a_loss_of_logits_has_the_gradients_of_the_softmax(kind: str, training: bool) -> None:
    """d/dw of -log y[label], by the output's logarithm, of the net in float64."""
    model, plain = model_of(kind).train(training), model_of("reference").train(training)
    F.cross_entropy(model.logits(X), Y).backward()
    F.nll_loss(plain(X).log(), Y).backward()
    wanted = dict(plain.named_parameters())
    assert wanted.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert wanted[name].grad is not None
        torch.testing.assert_close(parameter.grad, wanted[name].grad, **NEAR)


def test_gradients_by_images(kind: str) -> None:
    model, x = model_of(kind), X.clone().requires_grad_()
    model.requires_grad_(False)
    assert not model.logits(X).requires_grad
    (gradient,) = torch.autograd.grad(model.logits(x)[:, 0].sum(), x)
    jacobian = torch.func.grad(lambda x: model.logits(x)[:, 0].sum())(X)
    torch.testing.assert_close(gradient, jacobian, **NEAR)
    assert gradient.any()


def test_an_output_without_a_softmax_is_its_logits(kind: str) -> None:
    codes = "codes c 2x2 {\n    X. .X\n    XX X.\n}\n"
    net = loads(f"net n\ninput x 3x3x2\nC: conv 3x3, 4 | tanh\nF: rbf c\n{codes}")
    model, x = model_of(kind, net), torch.randn(2, 2, 3, 3, dtype=torch.float64)
    assert torch.equal(model.logits(x), model(x))


def test_hooks_of_the_model_change_images_for_logits_too(kind: str) -> None:
    model = model_of(kind)
    wanted = model.logits(X / 2)
    handle = model.register_forward_pre_hook(lambda module, x: x[0] / 2)
    torch.testing.assert_close(model.logits(X), wanted, **NEAR)
    handle.remove()
    model.register_forward_pre_hook(lambda m, x, named: ((x[0] / 2,), named), with_kwargs=True)
    torch.testing.assert_close(model.logits(X), wanted, **NEAR)
    torch.testing.assert_close(model.logits(X).softmax(1), model(X), **NEAR)


def test_images_are_checked(kind: str) -> None:
    model = model_of(kind)
    for one in (model.train(), model.eval()):
        with pytest.raises(ValueError, match=r"takes image as \[N, 2, 6, 6\]"):
            one.logits(X[:, :1])
        with pytest.raises(TypeError, match=r"is in torch.float64"):
            one.logits(X.float())
        with pytest.raises(TypeError, match="out"):
            one.logits(X, out=torch.empty(4, 5, dtype=torch.float64))


def test_copies_have_logits_of_their_own(kind: str) -> None:
    model = model_of(kind)
    before = model.logits(X)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with torch.no_grad():
            twin.out.bias.add_(1)
        torch.testing.assert_close(twin.logits(X), before + 1, **NEAR)
        torch.testing.assert_close(model.logits(X), before, **NEAR)


def test_torch_compile_leaves_logits_right(kind: str) -> None:
    model = model_of(kind)
    compiled = torch.compile(model.logits, backend="eager")
    torch.testing.assert_close(compiled(X), model.logits(X), **NEAR)
    torch.testing.assert_close(
        torch.compile(model.train().logits, backend="eager")(X), model.logits(X), **NEAR
    )


# -------------------------------------------------------------------------------- compiled nets


def test_where_no_gradients_are_recorded_the_plan_runs() -> None:
    model = model_of("compiled")
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert not model.logits(X).requires_grad
    assert not model.is_unpacked
    features = model._logits._features
    ours, whole = features.lowered.plan.steps, model.lowered.plan.steps
    assert [step.stage for step in ours] == [step.stage for step in whole][:-1]
    assert model.logits(X).requires_grad
    assert model.is_unpacked


def test_logits_follow_the_parameters() -> None:
    model = model_of("compiled")
    with torch.no_grad():
        before = model.logits(X)
        model.out.bias.add_(2)
        torch.testing.assert_close(model.logits(X), before + 2, **NEAR)
        model.load_state_dict(netspec.reference(PLAIN, seed=5, dtype=torch.float64).state_dict())
        torch.testing.assert_close(model.logits(X).softmax(1), model(X), **NEAR)


def test_what_cannot_be_recorded_is_refused_for_logits_as_well() -> None:
    model = model_of("compiled")
    with pytest.raises(RuntimeError, match="does not support channels-last maps"):
        torch.vmap(lambda x: model.logits(x[None]))(X)
    refused = pytest.raises(RuntimeError, match="FunctionalTensorMode sees PyTorch's")
    with torch.no_grad(), refused, FunctionalTensorMode():
        model.logits(X)


# ------------------------------------------------------------------------------- the reference


def test_rows_are_called_with_their_hooks(reference: Model) -> None:
    calls: dict[str, list[Tensor]] = {}
    for name, module in reference.named_modules():
        if name:
            module.register_forward_hook(
                lambda module, x, y, name=name: calls.setdefault(name, []).append(y)
            )
    logits = reference.logits(X)
    assert {name: len(ys) for name, ys in calls.items()} == {"C": 1, "C.relu": 1, "out": 1}
    assert torch.equal(calls["out"][0], logits)
    reference.out.register_forward_hook(lambda module, x, y: 2 * y)
    assert torch.equal(reference.logits(X), 2 * logits)
    gradients = []
    reference.out.register_full_backward_hook(lambda module, dx, dy: gradients.append(dy))
    reference.logits(X).sum().backward()
    assert len(gradients) == 1


def test_pruned_and_parametrised_rows_count(reference: Model) -> None:
    prune.random_unstructured(reference.out, "weight", 0.5)
    parametrize.register_parametrization(reference.C, "weight", nn.Tanh())
    parametrize.register_parametrization(reference.out, "bias", nn.Tanh())
    torch.testing.assert_close(reference.logits(X).softmax(1), reference(X), **NEAR)
    assert not torch.allclose(reference.logits(X), model_of("reference").logits(X))


def test_a_row_in_the_place_of_the_last_gives_logits() -> None:
    reference = model_of("reference")
    reference.out = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, dtype=torch.float64))
    assert torch.equal(reference.logits(X), reference(X))
    for other in (nn.Sequential(reference.out, nn.Softmax(1)), model_of("reference")):
        reference.out = other
        with pytest.raises(RuntimeError, match=f"by a {type(other).__name__}, which contains a"):
            reference.logits(X)


def test_a_module_in_the_place_of_the_softmax() -> None:
    reference = model_of("reference")
    wanted = reference.logits(X)
    reference.out.softmax = nn.Identity()
    assert torch.equal(reference.logits(X), wanted)
    assert torch.equal(reference(X), wanted)
    reference.out.softmax = nn.Linear(5, 3)
    with pytest.raises(RuntimeError, match=r"before out\.softmax, which is of class Linear now"):
        reference.logits(X)
    other = model_of("reference", loads("net n\ninput x 4\nF: fc 3\np: softmax\n"))
    other.p = nn.Linear(3, 2)
    with pytest.raises(RuntimeError, match="before p, which is of class Linear now"):
        other.logits(torch.rand(2, 4, dtype=torch.float64))


def test_modes_of_single_rows_count() -> None:
    reference = model_of("reference", NET).train()
    reference.D.eval()
    reference.C.eval()
    first, second = (reference.logits(X)[0] for _ in range(2))
    assert torch.equal(first, second)
    reference.D.train()
    assert not torch.equal(first, reference.logits(X)[0])


def test_rows_inside_a_block_are_called() -> None:
    net = loads(
        "net n\nblock end(n) = {\n    a: conv 1x1, n\n    b: gap | softmax\n}\n"
        "input image 6x6x2\nB: end 3\n"
    )
    model, calls = model_of("reference", net), []
    model.B.register_forward_hook(lambda module, x, y: calls.append(y))
    logits = model.logits(X)
    assert torch.equal(calls[0], logits)
    torch.testing.assert_close(logits.softmax(1), model(X), **NEAR)
    assert isinstance(netspec.compile(net), Compiled)

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import netspec
from netspec.training.optimizer import Sgd, groups, optimizer
from tests.training.nets import small

RATES = st.floats(1e-3, 0.3)


def problem() -> tuple[list[Tensor], Callable[[], Tensor]]:
    """Two parameters, and a loss that is no quadratic form."""
    w = torch.linspace(-1, 1, 6, dtype=torch.float64).requires_grad_()
    b = torch.tensor([0.3, -0.2], dtype=torch.float64).requires_grad_()
    return [w, b], lambda: (w.tanh() * torch.arange(6)).sum().square() / 9 + (w[:2] * b).exp().sum()


def descend(
    make: Callable[[list[Tensor]], torch.optim.Optimizer], rates: list[float]
) -> list[Tensor]:
    """The parameters after steps at these learning rates."""
    parameters, loss = problem()
    sgd = make(parameters)
    for rate in rates:
        for group in sgd.param_groups:
            group["lr"] = rate
        sgd.zero_grad()
        loss().backward()
        sgd.step()
    return [p.detach() for p in parameters]


def ours(momentum: float, decay: float) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
    return lambda parameters: Sgd(parameters, lr=1.0, momentum=momentum, decay=decay)


def torchs(momentum: float, decay: float) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.SGD(
        parameters, lr=1.0, momentum=momentum, weight_decay=decay
    )


@given(RATES, st.sampled_from([0.0, 0.5, 0.9]), st.sampled_from([0.0, 0.0005, 0.1]))
def test_at_a_constant_rate_it_is_the_sgd_of_pytorch(
    rate: float, momentum: float, decay: float
) -> None:
    parameters, wanted = (descend(m(momentum, decay), [rate] * 6) for m in (ours, torchs))
    for x, y in zip(parameters, wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)


@given(RATES, st.floats(0.1, 0.9), st.floats(0.05, 0.9))
def test_when_the_rate_falls_what_is_left_of_the_velocity_falls_with_pytorch_only(
    rate: float, momentum: float, factor: float
) -> None:
    """They differ by the momentum, at the difference of the rates: w - w' = (lr' - lr) m u."""
    rates = [rate] * 3 + [rate * factor]
    (weight, _), (other, _) = (descend(m(momentum, 0.0005), rates) for m in (ours, torchs))
    before, _ = descend(torchs(momentum, 0.0005), rates[:3])
    earlier, _ = descend(torchs(momentum, 0.0005), rates[:2])
    u = (earlier - before) / rate  # PyTorch's velocity after the third step
    expected = (rate * factor - rate) * momentum * u
    torch.testing.assert_close(weight - other, expected, rtol=1e-5, atol=1e-12)
    assert float(expected.abs().max()) > 0


def test_the_update_is_the_papers() -> None:
    """v := 0.9 v - 0.0005 lr w - lr dL/dw;  w := w + v (section 5), by hand, at three rates."""
    parameters, loss = problem()
    sgd = Sgd(parameters, lr=0.1, momentum=0.9, decay=0.0005)
    w = [p.detach().clone() for p in parameters]
    v = [torch.zeros_like(p) for p in w]
    for rate in (0.1, 0.01, 0.2):
        sgd.param_groups[0]["lr"] = rate
        sgd.zero_grad()
        loss().backward()
        gradients = [p.grad.clone() for p in parameters if p.grad is not None]
        sgd.step()
        v = [
            0.9 * a - 0.0005 * rate * b - rate * g for a, b, g in zip(v, w, gradients, strict=True)
        ]
        w = [a + b for a, b in zip(w, v, strict=True)]
        for parameter, x, y in zip(parameters, w, v, strict=True):
            torch.testing.assert_close(parameter.detach(), x, rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(sgd.state[parameter]["velocity"], y, rtol=1e-12, atol=1e-14)


def test_each_group_has_its_rate_and_decay() -> None:
    def own(parameters: list[Tensor]) -> Sgd:
        w, b = parameters
        several = [{"params": [w]}, {"params": [b], "rate": 2.0, "decay": 0.0}]
        return Sgd(several, lr=1.0, momentum=0.9, decay=0.1)

    (w, b), loss = problem()
    plain = torch.optim.SGD(
        [{"params": [w], "lr": 0.05, "weight_decay": 0.1}, {"params": [b], "lr": 0.1}], momentum=0.9
    )
    for _ in range(4):
        plain.zero_grad()
        loss().backward()
        plain.step()
    for x, y in zip(descend(own, [0.05] * 4), (w, b), strict=True):
        torch.testing.assert_close(x, y.detach(), rtol=1e-9, atol=1e-12)


def test_a_parameter_without_a_gradient_stays() -> None:
    w = torch.ones(2, requires_grad=True)
    sgd = Sgd([w], lr=0.1, momentum=0.9, decay=0.5)
    sgd.step()
    assert w.tolist() == [1, 1]
    assert not sgd.state


def test_it_goes_on_from_its_state() -> None:
    parameters, loss = problem()
    sgd = Sgd(parameters, lr=0.1, momentum=0.9, decay=0.1)
    copies = [p.detach().clone().requires_grad_() for p in parameters]
    for step in range(4):
        sgd.zero_grad()
        loss().backward()
        if step == 2:
            other = Sgd(copies, lr=0.5)
            other.load_state_dict(deepcopy(sgd.state_dict()))
            for mine, theirs in zip(copies, parameters, strict=True):
                mine.data.copy_(theirs.data)
        if step >= 2:
            for mine, theirs in zip(copies, parameters, strict=True):
                mine.grad = theirs.grad
            other.step()
        sgd.step()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(copies, parameters, strict=True))


# ------------------------------------------------------------------------------------------ groups

ROWS = "a: conv 3x3, 4 | bn eps=1e-3 | relu\nS: subsample 2x2/2, by=mean\nb: fc 3 | softmax\n"


def rates(text: str) -> dict[str, float]:
    net = small(ROWS, rate=text) if text else small(ROWS)
    model = netspec.compile(net)
    param_groups = groups(net, model, net.recipe)
    assert len({group["rate"] for group in param_groups}) == len(param_groups)
    assert all(len(group["params"]) == len(group["names"]) for group in param_groups)
    named = dict(model.named_parameters())
    assert all(
        named[n] is p for g in param_groups for n, p in zip(g["names"], g["params"], strict=True)
    )
    return {name: group["rate"] for group in param_groups for name in group["names"]}


ALL = [
    *("a.conv.weight", "a.conv.bias", "a.bn.weight", "a.bn.bias"),
    *("S.coefficient", "S.bias", "b.weight", "b.bias"),
]


@pytest.mark.parametrize(
    ("text", "factors"),
    [
        ("", [1, 1, 1, 1, 1, 1, 1, 1]),
        ("2 for bias", [1, 2, 1, 2, 1, 2, 1, 2]),
        ("2 for bias\n0.5 for weight", [0.5, 2, 0.5, 2, 0.5, 2, 0.5, 2]),
        ("10 for b", [1, 1, 1, 1, 1, 1, 10, 10]),
        ("3\n2 for bias\n10 for b\n0 for a", [0, 0, 0, 0, 3, 6, 30, 60]),
    ],
)
def test_rates_that_hold_for_a_parameter_multiply(text: str, factors: list[float]) -> None:
    assert rates(text) == dict(zip(ALL, factors, strict=True))


def test_decays_that_hold_for_a_parameter_multiply() -> None:
    net = small(
        ROWS, optimizer="sgd lr=1, decay=0.5", decay="0 for bias\n4 for b\n3", rate="2 for b"
    )
    param_groups = groups(net, netspec.compile(net), net.recipe)
    factors = {
        name: (group["rate"], group["decay"]) for group in param_groups for name in group["names"]
    }
    wanted = [(1, 1.5), (1, 0), (1, 1.5), (1, 0), (1, 1.5), (1, 0), (2, 6), (2, 0)]
    assert factors == dict(zip(ALL, wanted, strict=True))


def test_heads_learn_at_the_rates_of_their_own_rows() -> None:
    rows = f"{ROWS}head h from S, weight=0.3: fc 3 | softmax\n"
    net = small(rows, rate="5 for h")
    param_groups = groups(net, netspec.compile(net), net.recipe)
    assert {tuple(g["names"]): g["rate"] for g in param_groups}[("h.weight", "h.bias")] == 5


def test_the_optimiser_of_a_recipe() -> None:
    net = small(optimizer="sgd lr=0.01, momentum=0.9, decay=0.0005", rate="2 for bias")
    sgd = optimizer(net, netspec.compile(net), net.recipe)
    values = [{k: g[k] for k in ("lr", "momentum", "decay", "rate")} for g in sgd.param_groups]
    same = {"lr": 0.01, "momentum": 0.9, "decay": 0.0005}
    assert values == [same | {"rate": 1.0}, same | {"rate": 2.0}]

"""A loop of a user's own, as docs/training.md has it, with PyTorch's loss and optimiser."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import netspec
from netspec.ir.randomness import masks
from netspec.training.loss import loss
from netspec.training.trainee import Trainee
from tests.training.nets import ROWS, batch, small

NET = "net small\ninput image 8x8x1\nC1: conv 3x3, 8 | relu\nF2: fc 10 | softmax\n"
LEAST_OF_PROBABILITIES = 1.4611
"""ln(e + 9) - 1: what F.cross_entropy of ten probabilities cannot fall below, which are 0 to 1."""


@pytest.mark.parametrize("make", [netspec.compile, netspec.reference])
def test_a_net_learns_digits_in_a_loop_of_ones_own(make: type[netspec.Model]) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(digits.target)
    learned, held_out = slice(0, 1437), slice(1437, None)
    model = make(netspec.loads(NET), seed=1).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    order = torch.Generator().manual_seed(1)
    for _ in range(3):
        for rows in torch.randperm(1437, generator=order).split(64):
            value = F.cross_entropy(model.logits(x[learned][rows]), y[learned][rows])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    model.eval()
    with torch.no_grad():
        value = F.cross_entropy(model.logits(x[learned]), y[learned])
        wrong = model(x[held_out]).argmax(1) != y[held_out]
    assert float(value) < 0.4 < LEAST_OF_PROBABILITIES
    assert float(wrong.double().mean()) < 0.15


def test_gradients_are_those_of_netspecs_own_loss() -> None:
    """With dropout and a head, whose loss its weight is of."""
    net = small(f"{ROWS}head h from a, weight=0.3: gap | flatten | fc 3 | softmax\n")
    model, own = (netspec.compile(net, dtype=torch.float64) for _ in range(2))
    trainee, (x, y) = Trainee(own), batch()
    assert net.recipe is not None
    with masks(1, 2, torch.arange(5)):
        loss(net, net.recipe, *trainee(x.double()), y).backward()
        logits, heads = model.train().logits(x.double())
        (F.cross_entropy(logits, y) + 0.3 * F.cross_entropy(heads["h"], y)).backward()
    wanted = dict(own.named_parameters())
    for name, parameter in model.named_parameters():
        assert wanted[name].grad is not None
        torch.testing.assert_close(parameter.grad, wanted[name].grad, rtol=1e-9, atol=1e-11)

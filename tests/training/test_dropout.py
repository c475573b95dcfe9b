"""What the AlexNet paper says about dropout (section 4.2), and its two forms."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

import netspec
from netspec.ir.randomness import masks
from netspec.training.loss import loss
from netspec.training.optimizer import Sgd, optimizer
from netspec.training.trainee import Trainee
from tests.training.nets import batch, recipe, small

RATE = 0.5
OPTIMIZER = "sgd lr=0.1, momentum=0.9, decay=0.01"


def trained(scale: str) -> Trainee:
    """A net with dropout in one of the two forms; both have the same parameters."""
    rows = f"a: fc 20 | relu | dropout {RATE}, scale={scale}\nout: fc 3 | softmax\n"
    net = small(rows, optimizer=OPTIMIZER)
    return Trainee(netspec.compile(net, dtype=torch.float64, seed=3))


def pair() -> tuple[Trainee, Trainee]:
    """The paper's form and the inverted one, the same as functions: weights behind the paper's
    dropout are divided by 1 - rate."""
    paper, inverted = trained("test"), trained("train")
    with torch.no_grad():
        paper.model.out.weight /= 1 - RATE
    return paper, inverted


def effective(trainee: Trainee, scale: str) -> dict[str, Tensor]:
    """Parameters as the inverted form has them."""
    parameters = {name: p.detach().clone() for name, p in trainee.model.named_parameters()}
    if scale == "test":
        parameters["out.weight"] *= 1 - RATE
    return parameters


def steps(trainee: Trainee, sgd: Sgd, count: int) -> None:
    images, labels = batch()
    net = trainee.model.net
    assert net.recipe is not None
    for step in range(count):
        with masks(7, step, torch.arange(len(images))):
            logits, heads = trainee(images.double())
        sgd.zero_grad()
        loss(net, net.recipe, logits, heads, labels).backward()
        sgd.step()


def test_both_forms_are_the_same_function() -> None:
    images, _ = batch()
    paper, inverted = pair()
    for run in ("train", "test"):
        with masks(7, 1, torch.arange(len(images))):
            ours, theirs = (
                t.test(images.double()) if run == "test" else t(images.double())[0]
                for t in (paper, inverted)
            )
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_under_sgd_with_equal_rate_and_decay_they_part() -> None:
    """dL/dw' = (1 - rate) dL/dw for w = (1 - rate) w': a step moves w by (1 - rate)^2 as much."""
    paper, inverted = pair()
    before = effective(inverted, "train")
    for trainee in (paper, inverted):
        sgd = optimizer(trainee.model.net, trainee.model, trainee.model.net.recipe)  # type: ignore[arg-type]
        steps(trainee, sgd, 1)
    ours, theirs = effective(paper, "test"), effective(inverted, "train")
    for name in ("a.weight", "a.bias", "out.bias"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-12)
    decayed = (1 - 0.1 * 0.01) * before["out.weight"]
    moved, wanted = ours["out.weight"] - decayed, theirs["out.weight"] - decayed
    torch.testing.assert_close(moved, (1 - RATE) ** 2 * wanted, rtol=1e-9, atol=1e-12)
    assert float(wanted.abs().max()) > 1e-3


def test_with_rate_and_decay_made_up_for_they_stay_together() -> None:
    paper, inverted = pair()
    factor = (1 - RATE) ** 2
    model = paper.model
    others = [p for name, p in model.named_parameters() if name != "out.weight"]
    own = {"params": [model.out.weight], "rate": 1 / factor, "decay": 0.01 * factor}
    steps(paper, Sgd([{"params": others}, own], lr=0.1, momentum=0.9, decay=0.01), 5)
    sgd = optimizer(inverted.model.net, inverted.model, inverted.model.net.recipe)  # type: ignore[arg-type]
    steps(inverted, sgd, 5)
    ours, theirs = effective(paper, "test"), effective(inverted, "train")
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-12)


def thinned(layers: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """The normalised geometric mean of all thinned nets' answers, and that of all neurons with
    halved outputs; dropout is on the 6 inputs."""
    spec = f"net n\ninput x 6\nd: dropout 0.5, scale=test\n{layers}{recipe()}"
    with_all = netspec.reference(netspec.loads(spec), dtype=torch.float64)
    spec = spec.replace("d: dropout 0.5, scale=test\n", "")
    plain = netspec.reference(netspec.loads(spec), dtype=torch.float64)
    with torch.no_grad():
        logs = [plain(x * torch.tensor(kept).double()).log() for kept in product((0, 1), repeat=6)]
        return torch.stack(logs).mean(0).softmax(1), with_all(x)


def test_half_the_outputs_are_the_geometric_mean_of_all_thinned_nets_of_one_softmax_layer() -> None:
    """ "a reasonable approximation to taking the geometric mean of the predictive distributions
    produced by the exponentially-many dropout networks": with one layer behind it, exact."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).double() * 3
    mean, halved = thinned("out: fc 5 | softmax\n", x)
    torch.testing.assert_close(mean, halved, rtol=1e-12, atol=1e-12)
    assert float(mean.max()) > 0.5  # the answers are not flat


@pytest.mark.parametrize("between", ["relu", "tanh"])
def test_with_a_nonlinear_layer_between_it_is_an_approximation(between: str) -> None:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).double() * 3
    mean, halved = thinned(f"a: fc 8 | {between}\nout: fc 5 | softmax\n", x)
    assert 1e-3 < float((mean - halved).abs().max()) < 0.5

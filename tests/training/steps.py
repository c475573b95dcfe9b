"""A few steps of training, on however many ranks: what tests of them compare."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import netspec
from netspec import Net
from netspec.ir.randomness import masks
from netspec.ir.recipe import CrossEntropy, Recipe, Sgd
from netspec.training.columns import Spread
from netspec.training.loss import loss
from netspec.training.optimizer import optimizer
from netspec.training.parallel import Ranks
from netspec.training.trainee import Trainee

RECIPE = Recipe(loss=[CrossEntropy()], optimizer=[Sgd(lr=0.1, momentum=0.9, decay=0.01)])
SEED = 3


def train(ranks: Ranks, net: Net, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Losses, then the last gradients and all tensors, of steps with batches of these sizes.

    Everything is float64, and the spec's own; images are ``test`` images of the first batch too.
    """
    spread = Spread(net, ranks)
    tensors = netspec.reference(net, dtype=torch.float64, seed=SEED).state_dict()
    model = netspec.compile(spread.net, dtype=torch.float64)
    model.load_state_dict(spread.part(tensors))
    trainee, sgd = Trainee(model), optimizer(net, model, RECIPE)
    losses = []
    for step, size in enumerate(sizes):
        images, labels = batch(net, step, size)
        mine = torch.arange(size).tensor_split(ranks.ranks)[ranks.rank]
        sgd.zero_grad()
        with masks(SEED, step, mine):
            logits, heads = trainee(images[mine])
        batch_loss = loss(net, RECIPE, logits, heads, labels[mine], total=size)
        batch_loss.backward()
        ranks.average(model.parameters())
        losses.append(ranks.sum(batch_loss.detach().clone()))
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        sgd.step()
    answers = trainee.test(batch(net, 0, sizes[0])[0])
    return {
        "losses": torch.stack(losses),
        "answers": answers.clone(),  # made in inference mode, a tensor that files cannot hold
        **{f"d {name}": dw for name, dw in spread.whole(gradients).items()},
        **spread.whole({name: t.detach().clone() for name, t in model.state_dict().items()}),
    }


def batch(net: Net, step: int, size: int) -> tuple[Tensor, Tensor]:
    """Images and labels of a step."""
    generator = torch.Generator().manual_seed(step)
    (name,) = net.graph.inputs
    shape = net.graph.stage(name).known_shape.torch
    classes = net.graph.stage(net.graph.outputs[0]).known_shape.channels
    images = torch.randn(size, *shape, generator=generator, dtype=torch.float64)
    return images, torch.randint(classes, (size,), generator=generator)


def difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of two answers, each tensor against its own largest value.

    Some gradients are sums that come to nothing, as that of a bias in front of a normalisation:
    what is below 1e-3 counts as 1e-3.
    """
    assert one.keys() == other.keys()
    differences = [
        (one[k] - other[k]).abs().max() / one[k].abs().max().clamp_min(1e-3) for k in one
    ]
    return float(torch.stack(differences).max())

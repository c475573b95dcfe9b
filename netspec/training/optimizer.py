"""Stochastic gradient descent with momentum, as in the AlexNet paper (section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch.nn import Module

from netspec.ir.graph import Graph
from netspec.ir.recipe import Assigned, Decay, Rate, Recipe
from netspec.ir.recipe import Sgd as SgdStep
from netspec.net import Net
from netspec.training.initial import net_tensors


class Sgd(torch.optim.Optimizer):
    """Stochastic gradient descent: v := momentum v - decay lr w - lr dL/dw;  w := w + v.

    The velocity v includes the learning rate.  PyTorch's SGD applies the rate outside:
    u := momentum u + decay w + dL/dw;  w := w - lr u.  Both are equal while the rate is constant.
    When the rate changes, the velocity so far keeps the old rate here, but gets the new rate there.

    Args:
        params: parameters, or groups of them.  A group may set ``lr``, ``momentum``, ``decay``,
            ``rate`` (a factor of ``lr``), and ``names`` of its parameters.
        lr: learning rate.
        momentum: momentum.
        decay: weight decay.

    The state of a parameter is its ``velocity``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        momentum: float = 0.0,
        decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay, "rate": 1.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None, "closures are not supported"
        for group in self.param_groups:
            weights = [w for w in group["params"] if w.grad is not None]
            if not weights:
                continue
            rate = group["lr"] * group["rate"]
            gradients = [w.grad for w in weights]
            velocities = [self.velocity(w) for w in weights]
            torch._foreach_mul_(velocities, group["momentum"])
            if group["decay"]:
                torch._foreach_add_(velocities, weights, alpha=-group["decay"] * rate)
            torch._foreach_add_(velocities, gradients, alpha=-rate)
            torch._foreach_add_(weights, velocities)

    def velocity(self, w: torch.Tensor) -> torch.Tensor:
        """Return the velocity of a parameter, which begins as zeros."""
        state = self.state[w]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(w)
        velocity: torch.Tensor = state["velocity"]
        return velocity


def optimizer(net: Net, model: Module, recipe: Recipe) -> Sgd:
    """Return the optimiser of a recipe for the parameters of a model of the net."""
    (step,) = recipe.optimizer
    assert isinstance(step, SgdStep)
    return Sgd(groups(net, model, recipe), lr=step.lr, momentum=step.momentum, decay=step.decay)


def groups(net: Net, model: Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return groups of parameters with equal rate and decay, in the order of the model.

    The factor of a parameter is the product of every ``rate`` that applies to it: one without
    ``for``, one for ``bias`` or ``weight`` (all that are not biases), and one for its row.  The
    same holds for ``decay``.
    """
    (step,) = recipe.optimizer
    assert isinstance(step, SgdStep)
    rates, decays = (_factors(net.graph, assigned) for assigned in (recipe.rate, recipe.decay))
    by_factors: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        rate, decay = rates[name], step.decay * decays[name]
        empty = {"params": [], "names": [], "rate": rate, "decay": decay}
        group = by_factors.setdefault((rate, decay), empty)
        group["params"].append(parameter)
        group["names"].append(name)
    return list(by_factors.values())


def _factors(graph: Graph, assigned: Sequence[Assigned]) -> dict[str, float]:
    """Return the product of the factors that apply to each tensor of a net, by name."""
    factors = {}
    for tensor in net_tensors(graph):
        holds = {tensor.row, "bias" if tensor.is_bias else "weight"}
        steps = [a.step for a in assigned if not a.rows or holds & set(a.rows)]
        factors[tensor.name] = prod(s.factor for s in steps if isinstance(s, Rate | Decay))
    return factors

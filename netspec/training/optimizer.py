"""Stochastic gradient descent as the AlexNet paper writes it (section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import Module

from netspec.graph import Graph
from netspec.naming import attribute
from netspec.net import Net
from netspec.recipe import Rate, Recipe
from netspec.recipe import Sgd as SgdStep


class Sgd(torch.optim.Optimizer):
    """v := momentum v - decay lr w - lr dL/dw;  w := w + v.

    The rate stands inside v.  PyTorch's SGD keeps it outside, u := momentum u + decay w + dL/dw and
    w := w - lr u, which is the same while the rate is constant; when it changes, here the velocity
    that is left goes on with the old rate, there at once with the new one.

    A group has ``lr``, a factor ``rate`` of it, ``momentum``, ``decay``, and the ``names`` of its
    parameters; the state of a parameter is its ``velocity``.
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
        assert closure is None, "one evaluation a step"
        for group in self.param_groups:
            held = [w for w in group["params"] if w.grad is not None]
            if not held:
                continue
            rate = group["lr"] * group["rate"]
            gradients = [w.grad for w in held]
            velocities = [self._velocity(w) for w in held]
            torch._foreach_mul_(velocities, group["momentum"])
            if group["decay"]:
                torch._foreach_add_(velocities, held, alpha=-group["decay"] * rate)
            torch._foreach_add_(velocities, gradients, alpha=-rate)
            torch._foreach_add_(held, velocities)

    def _velocity(self, w: torch.Tensor) -> torch.Tensor:
        state = self.state[w]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(w)
        found: torch.Tensor = state["velocity"]
        return found


def optimizer(net: Net, model: Module, recipe: Recipe) -> Sgd:
    """The optimiser that a recipe says, over the parameters of a model of the net."""
    (step,) = recipe.optimizer
    assert isinstance(step, SgdStep)
    made = groups(net, model, recipe)
    return Sgd(made, lr=step.lr, momentum=step.momentum, decay=step.decay)


def groups(net: Net, model: Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Groups of parameters that learn at one factor of the rate, in the order of the model.

    Every ``rate`` that holds for a parameter multiplies: one without ``for``, one for ``bias`` or
    ``weight`` (whatever is not a bias), and one for its row.
    """
    rates = rates_of(net.graph, recipe)
    found: dict[float, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        rate = rates[name]
        group = found.setdefault(rate, {"params": [], "names": [], "rate": rate})
        group["params"].append(parameter)
        group["names"].append(name)
    return list(found.values())


def rates_of(graph: Graph, recipe: Recipe) -> dict[str, float]:
    """The factor of the learning rate of every trained parameter, by name."""
    rates = {}
    for row in graph.rows.values():
        if row.is_inner:
            continue
        for stage in row.stages:
            inputs = graph.shapes_into(stage)
            for parameter in graph.stage(stage).op.parameters(inputs):
                holds = {row.label, "bias" if parameter == "bias" else "weight"}
                factor = 1.0
                for assigned in recipe.rate:
                    assert isinstance(assigned.step, Rate)
                    if not assigned.rows or holds & set(assigned.rows):
                        factor *= assigned.step.factor
                rates[attribute(stage, parameter)] = factor
    return rates

"""A net with all that changes while it learns, and how that goes into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from netspec.training.checkpoint import Checkpoint, State
from netspec.training.columns import Spread
from netspec.training.initial import initial_tensors
from netspec.training.optimizer import optimizer
from netspec.training.parallel import Ranks
from netspec.training.run import Run
from netspec.training.schedule import schedule
from netspec.training.settings import lr_of
from netspec.training.testing import answers_by
from netspec.training.trainee import Trainee


class Learner:
    """A net, its optimiser and its schedule, at the point that a run's checkpoint says.

    Attributes:
        trainee: the net while it learns.
        optimizer: of its parameters.
        schedule: of the learning rate.
        state: where the run is.
        lr: the learning rate.
        answers_by: whether the ``most`` or the ``least`` of its outputs is its answer.

    Args:
        run: goes on from its checkpoint.
        ranks: those that train it together.
    """

    def __init__(self, run: Run, ranks: Ranks) -> None:
        recipe, checkpoint = run.recipe, Checkpoint.load(run.checkpoint, run.net.graph)
        self._spread = Spread(run.net, ranks)
        model = run.model(ranks.device, self._spread.net)
        model.load_state_dict(self._spread.part(checkpoint.model))
        self.trainee = Trainee(model)
        self.optimizer = optimizer(run.net, model, recipe)
        self.schedule = schedule(recipe)
        self.state = checkpoint.state
        self.lr = self._first_lr = lr_of(recipe)
        self.answers_by = answers_by(run.net)
        if self.state.schedule:
            self.schedule.load_state(self.state.schedule)
        velocity = self._spread.part(checkpoint.velocity)
        for name, parameter in self._parameters():
            if name in velocity:
                held = velocity[name].to(parameter.device)
                self.optimizer.state[parameter]["velocity"] = held

    def _parameters(self) -> list[tuple[str, Tensor]]:
        """The trained parameters by name."""
        groups = self.optimizer.param_groups
        return [pair for g in groups for pair in zip(g["names"], g["params"], strict=True)]

    @property
    def parameters(self) -> list[Tensor]:
        """The trained parameters."""
        return [parameter for _, parameter in self._parameters()]

    def set_rate(self) -> None:
        """Learn at the rate that the schedule says from now on."""
        self.lr = self._first_lr * self.schedule.factor
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr

    def placed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels where the net is, images in its type."""
        model = self.trainee.model
        device, dtype = model.device, model.lowered.dtype
        placed = images.to(device, dtype, non_blocking=True)
        return placed, labels.to(device, non_blocking=True)

    def test(self, images: Tensor) -> Tensor:
        """Outputs of images in evaluation mode."""
        model = self.trainee.model
        return self.trainee.test(images.to(model.device, model.lowered.dtype))

    def weights(self) -> dict[str, Tensor]:
        """The parameters and buffers of the net, by name; every rank has to ask."""
        return self._whole(self.trainee.model.state_dict())

    def checkpoint(self) -> Checkpoint:
        """What the run can go on from; every rank has to ask."""
        velocity = {}
        if self.state.has_begun:
            velocity = {name: self.optimizer.velocity(p) for name, p in self._parameters()}
        return Checkpoint(self.state, self.weights(), self._whole(velocity))

    def _whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: t.detach().cpu() for name, t in self._spread.whole(tensors).items()}

    def is_finite(self) -> bool:
        """Whether all weights are numbers, so that something can come of them."""
        return all(bool(parameter.isfinite().all()) for parameter in self.parameters)


def first_checkpoint(run: Run) -> tuple[Checkpoint, list[str]]:
    """What a run begins with, and what there is to say about it.

    Raises:
        DataError: a run that weights are to be taken from has none that fit.
    """
    settings = run.settings
    tensors, said = initial_tensors(
        run.net,
        run.recipe,
        seed=settings.seed,
        run_weights=lambda other: Run.open(Path(other)).weights(),
        preset=settings.init,
        init_from=settings.init_from,
    )
    dtype = getattr(torch, settings.dtype)
    return Checkpoint(State(), {n: t.to(dtype) for n, t in tensors.items()}, {}), said

"""A net with all that changes while it learns, and how that goes into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.training.checkpoint import Checkpoint, State
from netspec.training.columns import Spread
from netspec.training.initial import initial_tensors
from netspec.training.optimizer import optimizer
from netspec.training.parallel import Ranks
from netspec.training.run import Run
from netspec.training.schedule import schedule
from netspec.training.settings import lr_of
from netspec.training.trainee import Trainee


class Learner:
    """What a run is in memory: its net, its optimiser, its schedule, and where it is.

    Attributes:
        trainee: the net while it learns; of this rank's column.
        optimizer: of its parameters.
        schedule: of the learning rate.
        state: where the run is.

    Args:
        run: in whose directory it lies.
        ranks: those that train it together.
        checkpoint: what it goes on from.
    """

    def __init__(self, run: Run, ranks: Ranks, checkpoint: Checkpoint) -> None:
        recipe = run.recipe
        self._lr = lr_of(recipe)
        self._spread = Spread(run.net, ranks)
        model = run.model(self._spread.net, ranks.device)
        model.load_state_dict(self._spread.part(checkpoint.model))
        self.trainee = Trainee(model)
        self.optimizer = optimizer(run.net, model, recipe)
        self.schedule = schedule(recipe)
        self.state = checkpoint.state
        if self.state.schedule:
            self.schedule.load_state(self.state.schedule)
        velocity = self._spread.part(checkpoint.velocity) if checkpoint.velocity else {}
        for name, parameter in self._parameters():
            if name in velocity:
                held = velocity[name].to(parameter.device, parameter.dtype)
                self.optimizer.state[parameter]["velocity"] = held

    def _parameters(self) -> list[tuple[str, Tensor]]:
        """The trained parameters by name."""
        groups = self.optimizer.param_groups
        return [pair for g in groups for pair in zip(g["names"], g["params"], strict=True)]

    @property
    def parameters(self) -> list[Tensor]:
        """The trained parameters."""
        return [parameter for _, parameter in self._parameters()]

    def set_rate(self) -> float:
        """Learn at the rate that the schedule says from now on; returns it."""
        lr = self._lr * self.schedule.factor
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def weights(self) -> dict[str, Tensor]:
        """The parameters and buffers of the whole net, by name."""
        return self._whole(self.trainee.model.state_dict())

    def checkpoint(self) -> Checkpoint:
        """What the run can go on from.

        Raises:
            DataError: a weight is not finite, and nothing good could come of it.
        """
        weights = self.weights()
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise DataError(f"{name} is not finite any more")
        known = self.optimizer.state
        velocity = {n: known[p]["velocity"] for n, p in self._parameters() if p in known}
        return Checkpoint(self.state, weights, self._whole(velocity) if velocity else {})

    def _whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self._spread.whole(tensors)
        return {name: tensor.detach().cpu() for name, tensor in found.items()}


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

"""A net in training with its optimiser and schedule, loaded from and saved to checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from netspec.files.finite import first_not_finite, is_finite
from netspec.runtime.causes import cause, require_finite_outputs
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
    """A net, its optimiser and its schedule, loaded from the checkpoint of a run.

    Attributes:
        trainee: the net in training.
        optimizer: optimiser of its parameters.
        schedule: schedule of the learning rate.
        state: progress of the run.
        lr: current learning rate.
        answers_by: ``most`` or ``least``: whether the largest or the smallest output is the answer.

    Args:
        run: the run, which has a checkpoint.
        ranks: the ranks that train the net.
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
        self.answers_by = run.net.answers_by
        if self.state.schedule:
            self.schedule.load_state(self.state.schedule)
        velocity = self._spread.part(checkpoint.velocity)
        for name, parameter in self._parameters():
            if name in velocity:
                self.optimizer.state[parameter]["velocity"] = velocity[name].to(parameter.device)

    def _parameters(self) -> list[tuple[str, Tensor]]:
        """Return the trained parameters with their names."""
        groups = self.optimizer.param_groups
        return [pair for g in groups for pair in zip(g["names"], g["params"], strict=True)]

    @property
    def parameters(self) -> list[Tensor]:
        """The trained parameters."""
        return [parameter for _, parameter in self._parameters()]

    def set_rate(self) -> None:
        """Set the learning rate of the optimiser to that of the schedule."""
        self.lr = self._first_lr * self.schedule.factor
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr

    def placed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return images and labels on the device of the net; images get its dtype."""
        model = self.trainee.model
        device, dtype = model.device, model.lowered.dtype
        placed = images.to(device, dtype, non_blocking=True)
        return placed, labels.to(device, non_blocking=True)

    def test(self, images: Tensor) -> Tensor:
        """Return the outputs for images [N, C, H, W] in evaluation mode.

        Raises:
            NotFiniteError: if an output is not finite.
        """
        model = self.trainee.model
        placed = images.to(model.device, model.lowered.dtype)
        outputs = self.trainee.test(placed)
        require_finite_outputs(model, placed, outputs)
        return outputs

    def weights(self) -> dict[str, Tensor]:
        """Return the parameters and buffers of the net, by name; every rank must call this."""
        return self._whole(self.trainee.model.state_dict())

    def checkpoint(self) -> Checkpoint:
        """Return a checkpoint of the run; every rank must call this."""
        velocity = {}
        if self.state.has_begun:
            velocity = {name: self.optimizer.velocity(p) for name, p in self._parameters()}
        return Checkpoint(self.state, self.weights(), self._whole(velocity))

    def _whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: t.detach().cpu() for name, t in self._spread.whole(tensors).items()}

    def is_finite(self) -> bool:
        """Return True if all parameters, velocities and buffers are finite."""
        model = self.trainee.model
        velocities = [state["velocity"] for state in self.optimizer.state.values()]
        return all(map(is_finite, [*model.parameters(), *model.buffers(), *velocities]))

    def largest_norm(self) -> Tensor:
        """Return the largest L2 norm of the gradients of single parameters.

        It is finite only if all gradients are finite.  One number needs only one copy from a GPU.
        """
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return torch.stack(torch._foreach_norm(gradients)).max()

    def why_not_finite(self, images: Tensor) -> str:
        """Return text that names the weight, image, row or gradient that is not finite.

        Args:
            images: the images of the step that was just computed.
        """
        trainee = self.trainee
        model, meaning = trainee.model, trainee.model.lowered.backend.meaning
        rows = cause(model, trainee.graph, [images], training=True, meaning=meaning)
        gradients = {n: p.grad for n, p in self._parameters() if p.grad is not None}
        return rows or first_not_finite(gradients) or "the norm of a gradient overflows"


def first_checkpoint(run: Run) -> tuple[Checkpoint, list[str]]:
    """Return the first checkpoint of a run, and notes for the user on its weights.

    Raises:
        DataError: as :func:`initial_tensors`.
    """
    settings = run.settings
    tensors, said = initial_tensors(
        run.net,
        run.recipe,
        seed=settings.seed,
        run_weights=lambda path: Run.open(run.placed(path)).weights(),
        preset=settings.init,
        init_from=settings.init_from,
    )
    dtype = getattr(torch, settings.dtype)
    return Checkpoint(State(), {n: t.to(dtype) for n, t in tensors.items()}, {}), said

"""Checkpoints: parameters, velocities, and a small state that says how far a run has come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from netspec.errors import DataError
from netspec.files.members import (
    ANYTHING,
    TRUTH,
    Kind,
    either,
    many,
    number,
    optional,
    parsed,
    record,
    whole,
)
from netspec.files.tensors import TensorFile, opened_tensors
from netspec.ir.graph import Graph
from netspec.ir.parameter_names import earlier_names, named_anew, parameter_names
from netspec.runtime.weights import require_finite, require_tensors, save_tensors

FORMAT = 1
PARTS = ("model", "velocity")


class Counts(NamedTuple):
    """Totals over some steps: images used, sum of their losses, images classified wrong, and
    images that could not be read."""

    images: int = 0
    loss: float = 0.0
    wrong: int = 0
    corrupt: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sum of both."""
        return Counts(
            self.images + other.images,
            self.loss + other.loss,
            self.wrong + other.wrong,
            self.corrupt + other.corrupt,
        )

    @property
    def mean_loss(self) -> float:
        """Mean loss per image; NaN if there are no images."""
        return self.loss / self.images if self.images else nan

    @property
    def error(self) -> float:
        """Percentage of images classified wrong; NaN if there are no images."""
        return 100 * self.wrong / self.images if self.images else nan


@dataclass
class State:
    """The progress of a run.  All random numbers depend only on this and on the seed.

    Attributes:
        epoch: number of finished epochs.
        steps: number of finished steps in the current epoch.
        counts: totals over these steps.
        schedule: state of the schedule.
        seconds: training time so far.
    """

    epoch: int = 0
    steps: int = 0
    counts: Counts = Counts()
    schedule: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def has_begun(self) -> bool:
        """True after the first step, when every parameter has a velocity."""
        return self.epoch > 0 or self.steps > 0

    def require(self, epochs: int, steps: int) -> None:
        """Raise DataError if a run of ``epochs`` x ``steps`` steps cannot have this state."""
        if self.epoch > epochs or self.steps > steps or (self.epoch > 0) != bool(self.schedule):
            raise DataError(
                f"the checkpoint is damaged: it has {self.epoch:,} epochs, {self.steps:,} steps "
                f"and a schedule of {len(self.schedule)} values, but the run has {epochs:,} epochs "
                f"of {steps:,} steps; {_AGAIN}"
            )


class Checkpoint(NamedTuple):
    """The state of a run, its parameters and buffers, and its velocities, both by name."""

    state: State
    model: Mapping[str, Tensor]
    velocity: Mapping[str, Tensor]

    def save(self, path: Path) -> None:
        """Write the checkpoint to a file, whole or not at all.

        Raises:
            DataError: if the file cannot be written.
        """
        parts = zip(PARTS, (self.model, self.velocity), strict=True)
        tensors = {f"{part}/{name}": t for part, by_name in parts for name, t in by_name.items()}
        notes = {"format": str(FORMAT), "state": json.dumps(asdict(self.state))}
        try:
            save_tensors(tensors, path, notes)
        except DataError as error:
            if not path.is_file():
                raise
            again = f"then continue with netspec train --resume {path.parent}"
            raise DataError(
                f"{error}; the previous checkpoint is intact: free some space, {again}"
            ) from None

    @staticmethod
    def state_in(path: Path) -> State:
        """Return the state in a checkpoint file, without reading its tensors.

        Raises:
            DataError: if the file cannot be read.
        """
        with opened_tensors(path) as file:
            return _state(file, path)

    @classmethod
    def load(cls, path: Path, graph: Graph) -> Checkpoint:
        """Return the checkpoint of a net from a file.

        Raises:
            DataError: if the file cannot be read or is damaged; if it does not hold the net's
                parameters and buffers and, after the first step, all velocities; or if a value is
                not finite.
        """
        names = earlier_names(graph).items()
        earlier = {f"{part}/{now}": f"{part}/{was}" for part in PARTS for now, was in names}
        with opened_tensors(path) as file:
            state = _state(file, path)
            require_tensors(
                named_anew(earlier, file.tensors),
                _shapes(graph, has_velocities=state.has_begun),
                f"{path} is not a whole checkpoint of this run",
            )
            tensors = named_anew(earlier, file.read())
        require_finite(named_anew(earlier, file.not_finite), path)
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
        for key, tensor in tensors.items():
            part, _, name = key.partition("/")
            parts[part][name] = tensor
        return cls(state, parts["model"], parts["velocity"])


def _state(file: TensorFile, path: Path) -> State:
    if "state" not in file.notes:
        raise DataError(f"{path} is not a checkpoint written by netspec; {_AGAIN}")
    return parsed(file.notes["state"].encode(), f"the state in {path}", _STATE, _AGAIN)


def _shapes(graph: Graph, *, has_velocities: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of a checkpoint, by key."""
    shapes = {}
    for name, parameter, is_trained in parameter_names(graph):
        for part in PARTS[: 1 + (is_trained and has_velocities)]:
            shapes[f"{part}/{name}"] = tuple(parameter.shape)
    return shapes


_AGAIN = "restore the file from a copy, or begin the run again"


def _counts(value: Any, at: str) -> Counts:
    images, loss, wrong, corrupt = many(ANYTHING, 4).take(value, at)
    count = whole(0)
    return Counts(
        count.take(images, f"{at}[0]"),
        number().take(loss, f"{at}[1]"),
        count.take(wrong, f"{at}[2]"),
        count.take(corrupt, f"{at}[3]"),
    )


_SCHEDULE = either(
    "the state of a schedule",
    record(dict),
    record(
        dict,
        factor=number(0),
        finished=TRUTH,
        least=optional(number()),
        waited=whole(0),
        reduced=whole(0),
    ),
)

_STATE = record(
    State,
    epoch=whole(0),
    steps=whole(0),
    counts=Kind("a list of 4 values", _counts),
    schedule=_SCHEDULE,
    seconds=number(0),
)

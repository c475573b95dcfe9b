"""A checkpoint: parameters, velocities, and the one small state that says where a run is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from netspec.errors import DataError
from netspec.weights import read_tensors, save_tensors

FORMAT = 1
PARTS = ("model", "velocity")


class Counts(NamedTuple):
    """What happened in some steps: images seen, the sum of their losses, how many of them were
    classified wrong, and how many could not be read."""

    images: int = 0
    loss: float = 0.0
    wrong: int = 0
    corrupt: int = 0

    def plus(self, other: Counts) -> Counts:
        """Of both together."""
        return Counts(
            self.images + other.images,
            self.loss + other.loss,
            self.wrong + other.wrong,
            self.corrupt + other.corrupt,
        )

    @property
    def mean_loss(self) -> float:
        return self.loss / max(self.images, 1)

    @property
    def error(self) -> float:
        """In percent."""
        return 100 * self.wrong / max(self.images, 1)


@dataclass
class State:
    """Where a run is.  With the seed it is all there is: randomness depends on it alone.

    Attributes:
        epoch: how many epochs are over.
        steps: how many steps of the next one are over as well.
        counts: what happened in those steps.
        schedule: what the schedule remembers.
        seconds: how long the run has learned so far.
    """

    epoch: int = 0
    steps: int = 0
    counts: Counts = Counts()
    schedule: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Checkpoint(NamedTuple):
    """What a run goes on from: a state; parameters and buffers by name; velocities likewise."""

    state: State
    model: Mapping[str, Tensor]
    velocity: Mapping[str, Tensor]

    def save(self, path: Path) -> None:
        """Write it whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        parts = zip(PARTS, (self.model, self.velocity), strict=True)
        tensors = {f"{part}/{name}": t for part, held in parts for name, t in held.items()}
        notes = {"format": str(FORMAT), "state": json.dumps(asdict(self.state))}
        try:
            save_tensors(tensors, path, notes)
        except DataError as error:
            again = f"then go on with netspec train --resume {path.parent}"
            raise DataError(f"{error}; the one before is whole: make room, {again}") from None

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read it.

        Raises:
            DataError: it cannot be read, or is none of this format.
        """
        tensors, notes = read_tensors(path)
        held: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
        try:
            given = json.loads(notes["state"])
            state = State(**given | {"counts": Counts(*given["counts"])})
            for key, tensor in tensors.items():
                part, _, name = key.partition("/")
                held[part][name] = tensor
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{path} is no checkpoint that this version of netspec wrote") from None
        return cls(state, held["model"], held["velocity"])

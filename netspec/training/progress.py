"""How far a run is, and how fast; and who is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from netspec.training.checkpoint import State
from netspec.training.metrics import Epoch
from netspec.training.run import Run


@dataclass(frozen=True)
class Moment:
    """A step that is over.

    Attributes:
        epoch: its epoch, from 1.
        step: its number in the epoch, from 1.
        steps: how many the epoch has.
        loss, error: means over the epoch so far; the error in percent.
        images_per_second: in the epoch so far.
        waiting: the share of that time in which the device waited for data, 0 to 1.
        left: seconds until the last epoch is over, at the pace so far.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    error: float
    images_per_second: float
    waiting: float
    left: float


class Report:
    """Is told how a run goes; this one keeps it to itself."""

    def begin(self, run: Run, steps: int, state: State) -> None:
        """A run begins, or goes on, with so many steps an epoch."""

    def note(self, text: str) -> None:
        """Something that somebody should know."""

    def step(self, moment: Moment) -> None:
        """A step is over."""

    def epoch(self, row: Epoch, left: float) -> None:
        """An epoch is over, and the net was tested; so many seconds are left."""

    def end(self) -> None:
        """The run is over, or was interrupted; told once, if it has begun."""


class OfRank(Report):
    """What a rank tells that is not the first: notes alone, with its number."""

    def __init__(self, number: int, report: Report) -> None:
        self._number, self._report = number, report

    def note(self, text: str) -> None:
        self._report.note(f"rank {self._number}: {text}")


class Pace:
    """How fast a run is: in its epoch, and since this process took it up.

    Args:
        steps: that are left.
        before: seconds that others have learned.
    """

    def __init__(self, steps: int, before: float) -> None:
        self._steps, self._done, self._before = steps, 0, before
        self._began = self._epoch = perf_counter()
        self._images, self._waited = 0, 0.0

    def begin_epoch(self, waited: float) -> None:
        """An epoch begins; the device has waited for data so long before."""
        self._epoch, self._images, self._waited = perf_counter(), 0, waited

    def step(self, images: int) -> None:
        """A step with so many images is over."""
        self._images += images
        self._done += 1

    def seconds(self) -> float:
        """Since the run began, pauses left out."""
        return self._before + perf_counter() - self._began

    def images_per_second(self) -> float:
        """In the epoch so far."""
        return self._images / (perf_counter() - self._epoch)

    def waiting(self, waited: float) -> float:
        """The share of the epoch in which the device has waited, 0 to 1."""
        return (waited - self._waited) / (perf_counter() - self._epoch)

    def left(self) -> float:
        """Seconds until all steps are done."""
        spent = perf_counter() - self._began
        return spent / max(self._done, 1) * (self._steps - self._done)

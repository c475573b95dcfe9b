"""The progress and the pace of a run, and the reports of it."""

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
    """Receives the progress of a run; this one shows nothing."""

    def begin(self, run: Run, steps: int, state: State) -> None:
        """A run begins, or goes on, with ``steps`` steps an epoch."""

    def note(self, text: str) -> None:
        """A note for the user."""

    def step(self, moment: Moment) -> None:
        """A step is over."""

    def epoch(self, row: Epoch, left: float) -> None:
        """An epoch is over, and the net was tested; ``left`` seconds are left."""

    def end(self) -> None:
        """The run is over, or was interrupted; called once, if it has begun."""


class OfRank(Report):
    """The report of a rank that is not the first: only notes, with its number."""

    def __init__(self, number: int, report: Report) -> None:
        self._number, self._report = number, report

    def note(self, text: str) -> None:
        self._report.note(f"rank {self._number}: {text}")


class Pace:
    """The pace of a run: in its epoch, and since this process began.

    Args:
        steps: the number that are left.
        before: the seconds that earlier processes have learned.
    """

    def __init__(self, steps: int, before: float) -> None:
        self._steps, self._done, self._before = steps, 0, before
        self._began = self._epoch = perf_counter()
        self._images, self._waited = 0, 0.0

    def begin_epoch(self, waited: float) -> None:
        """Begin an epoch; the device has waited ``waited`` seconds for data before it."""
        self._epoch, self._images, self._waited = perf_counter(), 0, waited

    def step(self, images: int) -> None:
        """Count a step with ``images`` images."""
        self._images += images
        self._done += 1

    def seconds(self) -> float:
        """Return the seconds since the run began, without pauses."""
        return self._before + perf_counter() - self._began

    def images_per_second(self) -> float:
        """Return the images per second in the epoch so far."""
        return self._images / (perf_counter() - self._epoch)

    def waiting(self, waited: float) -> float:
        """Return the share of the epoch in which the device has waited, 0 to 1."""
        return (waited - self._waited) / (perf_counter() - self._epoch)

    def left(self) -> float:
        """Return the seconds until all steps are done."""
        spent = perf_counter() - self._began
        return spent / max(self._done, 1) * (self._steps - self._done)

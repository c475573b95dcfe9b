"""Progress, throughput and reports of a run."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from netspec.training.checkpoint import State
from netspec.training.metrics import Epoch
from netspec.training.run import Run


@dataclass(frozen=True)
class Moment:
    """The progress after a step.

    Attributes:
        epoch: number of the epoch, from 1.
        step: number of the step in the epoch, from 1.
        steps: number of steps of the epoch.
        loss, error: means over the epoch so far; the error in percent.
        images_per_second: throughput in the epoch so far.
        waiting: share of the time in which the device waited for data, 0 to 1.
        left: estimated seconds until the last epoch ends.
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
    """Receiver of the progress of a run; this base class does nothing."""

    def begin(self, run: Run, steps: int, state: State) -> None:
        """Called when a run begins or continues; it has ``steps`` steps per epoch."""

    def note(self, text: str) -> None:
        """Called with a note for the user."""

    def step(self, moment: Moment) -> None:
        """Called after each step."""

    def epoch(self, row: Epoch, left: float) -> None:
        """Called after each epoch and its test; about ``left`` seconds remain."""

    def end(self) -> None:
        """Called once when a run that began ends or is interrupted."""


class OfRank(Report):
    """The report of a rank that is not the first: it passes on notes only, with the rank."""

    def __init__(self, number: int, report: Report) -> None:
        self._number, self._report = number, report

    def note(self, text: str) -> None:
        self._report.note(f"rank {self._number}: {text}")


class Pace:
    """The time and throughput of a run: in the current epoch, and since this process began.

    Args:
        steps: number of steps that remain.
        before: training time of earlier processes of the run, in seconds.
    """

    def __init__(self, steps: int, before: float) -> None:
        self._steps, self._done, self._before = steps, 0, before
        self._began = self._epoch = perf_counter()
        self._images, self._waited = 0, 0.0

    def begin_epoch(self, waited: float) -> None:
        """Begin an epoch; before it, the device has waited for data for ``waited`` seconds."""
        self._epoch, self._images, self._waited = perf_counter(), 0, waited

    def step(self, images: int) -> None:
        """Count a step with ``images`` images."""
        self._images += images
        self._done += 1

    def seconds(self) -> float:
        """Return the seconds since the run began, without pauses."""
        return self._before + perf_counter() - self._began

    def images_per_second(self) -> float:
        """Return the throughput in the epoch so far."""
        return self._images / (perf_counter() - self._epoch)

    def waiting(self, waited: float) -> float:
        """Return the share of the epoch in which the device has waited, 0 to 1.

        Args:
            waited: seconds that the device has waited for data since this process began.
        """
        return (waited - self._waited) / (perf_counter() - self._epoch)

    def left(self) -> float:
        """Return the estimated seconds until all steps are done."""
        spent = perf_counter() - self._began
        return spent / max(self._done, 1) * (self._steps - self._done)

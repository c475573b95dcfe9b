"""The training loop: stochastic gradient descent over epochs, with tests and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.data import Splits
from netspec.errors import DataError
from netspec.files.finite import first_not_finite
from netspec.ir.randomness import masks
from netspec.net import Net
from netspec.printing import Printed
from netspec.runtime.causes import NotFiniteError
from netspec.training import parallel
from netspec.training.augment import for_training
from netspec.training.batches import Batch, Batches, InOrder
from netspec.training.chance import chance, require_learned, warn_of_chance
from netspec.training.checkpoint import Counts
from netspec.training.directory import is_run
from netspec.training.faults import warn_of_lost_classes
from netspec.training.fitting import least_images
from netspec.training.learner import Learner, first_checkpoint
from netspec.training.loss import loss
from netspec.training.metrics import Epoch, Metrics
from netspec.training.parallel import Parted, Ranks, is_started_again
from netspec.training.process import determinism, threads
from netspec.training.progress import Moment, OfRank, Pace, Report
from netspec.training.run import Run
from netspec.training.settings import Settings, batch_of, epochs_of
from netspec.training.stopping import Stopped, Stopping
from netspec.training.testing import VIEWS, Errors, answered, counted, place_of


class Diverged(DataError):
    """Error for a run whose loss or weights are no longer finite."""


@dataclass(frozen=True, repr=False)
class Result(Printed):
    """The result of a run.

    Attributes:
        run: path of the run directory.
        name: name of the net.
        epochs, steps: numbers of finished epochs and steps.
        top1, top5: errors on the validation set after the last epoch, in percent.
        untested: number of validation images that could not be used.
        untested_classes: names of the classes without a tested image.
        left_out: number of training images that could not be used in the last epoch.
        seconds: training time, without pauses.
    """

    run: Path
    name: str
    epochs: int
    steps: int
    top1: float
    top5: float
    untested: int
    untested_classes: tuple[str, ...]
    left_out: int
    seconds: float


def train(
    settings: Settings, directory: Path, *, report: Report | None = None, net: Net | None = None
) -> Result:
    """Train a net, by default that of the settings, in a directory that is made for it.

    If torchrun has restarted this process, it continues the run in the directory instead.
    ``report`` receives the progress.

    Raises:
        SpecError: if the spec has errors.
        DataError: if an input of the run is missing, or the run cannot continue.
        Stopped: if a signal stopped the run, after it saved a checkpoint.
    """
    report = report or Report()
    with _met(settings, directory) as ranks:
        is_new = ranks.is_first and not (is_started_again() and is_run(directory))
        new = Run.create(directory, settings, report.note, net) if is_new else None
        try:
            ranks.wait()
            return _learn(Run.open(directory), ranks, report)
        except Exception:
            if new is not None:
                # under the lock, since another process may have resumed the run; an error while
                # reading or removing the run must not replace the error that ended it
                with suppress(DataError), new.locked():
                    if not new.has_begun:
                        new.remove()
            raise


def resume(directory: Path, *, data: str | None = None, report: Report | None = None) -> Result:
    """Continue a run; on a CPU the result is bit for bit that of an uninterrupted run.

    Args:
        directory: path of the run directory.
        data: the new place of the same data, if it has moved; the run stores it.
        report: receives the progress.

    Raises:
        DataError, Stopped: as :func:`train`; DataError also if the data is not that of the run.
    """
    run = Run.open(directory)
    if data is not None:
        run = run.with_data(data)
    with _met(run.settings, directory) as ranks:
        return _learn(run, ranks, report or Report())


@contextmanager
def _met(settings: Settings, directory: Path) -> Iterator[Ranks]:
    """Meet the other ranks; if another rank fails, raise an error that says how to continue.

    Raises:
        DataError: if another rank has died or stopped, or the ranks do not meet.
    """
    try:
        with parallel.start(settings.device, columns=settings.columns) as ranks:
            yield ranks
    except Parted as error:
        left = "nothing was learned yet: begin the run again"
        if is_run(directory) and Run.open(directory).has_begun:
            left = f"this run has stopped; continue it with `netspec train --resume {directory}`"
        raise DataError(f"{error}; {left}") from error


def _learn(run: Run, ranks: Ranks, report: Report) -> Result:
    lock = run.locked() if ranks.is_first else nullcontext()
    with Stopping() as stopping, lock, threads(run.threads), determinism(run.settings):
        if ranks.is_first:
            run.keep_data()
        if not run.is_finished:
            splits = run.splits()
            if ranks.is_first:
                _begin(run, splits, report)
            ranks.wait()
            told = report if ranks.is_first else OfRank(ranks.number, report)
            loop = _Loop(run, splits, ranks, told, stopping)
            try:
                loop.run_epochs()
            finally:
                loop.close()
    ranks.wait()
    epochs = run.epochs()
    require_learned(chance(run.net, run.recipe, len(run.classes)), epochs, run.directory)
    last = epochs[-1]
    done = last.epoch, last.steps, last.top1, last.top5, last.untested, last.untested_classes
    return Result(run.directory, run.net.name, *done, last.corrupt, last.seconds)


def _begin(run: Run, splits: Splits, report: Report) -> None:
    """Write the statistics of a run's data and its first checkpoint, unless they exist."""
    run.measure(splits.train, report.note)
    if run.checkpoint.is_file():
        return
    first, said = first_checkpoint(run)
    for line in said:
        report.note(line)
    if 0 in run.settings.snapshots:
        run.save_snapshot(first.model, 0)
    first.save(run.checkpoint)


class _Loop:
    """The training of a run in this process, which is one of ``ranks``."""

    def __init__(
        self, run: Run, splits: Splits, ranks: Ranks, report: Report, stopping: Stopping
    ) -> None:
        recipe, settings, statistics = run.recipe, run.settings, run.statistics()
        self.run, self.recipe, self.ranks = run, recipe, ranks
        self.report, self.stopping = report, stopping
        self.guessing = chance(run.net, recipe, len(run.classes))
        self.learner = Learner(run, ranks)
        self.state = self.learner.state
        if ranks.is_first:
            run.keep_plan(self.learner.trainee.model)
        prepare, augment = for_training(recipe, run.shape, statistics)
        shared: dict[str, Any] = {
            "workers": settings.workers,
            "rank": ranks.rank,
            "ranks": ranks.ranks,
        }
        self.batches = Batches(
            splits.train,
            prepare,
            augment,
            run.shape,
            batch=batch_of(recipe),
            seed=settings.seed,
            pinned=ranks.device != "cpu",
            **shared,
        )
        self.state.require(epochs_of(recipe), self.batches.steps)
        view = run.view("center")
        self.tests = InOrder(splits.validation, view, run.shape, batch=VIEWS, **shared)
        self.metrics = (
            Metrics(run.directory, self.state.epoch, self.step_number) if ranks.is_first else None
        )
        left = epochs_of(recipe) * self.batches.steps - self.step_number
        self.pace = Pace(left, self.state.seconds)
        self.saved_step, self.saved_at = self.step_number, self.pace.seconds()
        self.least_images = least_images(run.net)
        self.classes = splits.train.classes
        self.noted, self.lost = set[str](), set[str]()
        report.begin(run, self.batches.steps, self.state)

    @property
    def step_number(self) -> int:
        """Number of steps since the run began."""
        return self.state.epoch * self.batches.steps + self.state.steps

    def run_epochs(self) -> None:
        """Train until the last epoch, or until the schedule ends the run."""
        while self.state.epoch < epochs_of(self.recipe) and not self.learner.schedule.finished:
            self.learn()
            self.test()
        weights = self.learner.weights()
        if self.ranks.is_first:
            self.run.save_weights(weights)

    def learn(self) -> None:
        """Train for one epoch, or for its remaining steps after a resume."""
        self.learner.set_rate()
        self.pace.begin_epoch(self.batches.waited)
        is_whole = not self.state.steps
        by_class = torch.zeros(len(self.classes), dtype=torch.int64)
        for batch in self.batches.epoch(self.state.epoch, self.state.steps):
            counts = self.step(batch)
            by_class += batch.labels.bincount(minlength=len(by_class))
            self.state.steps += 1
            self.state.counts = self.state.counts.plus(counts)
            self.pace.step(counts.images)
            self.note(batch.faults)
            self.report.step(self.moment())
            is_due = self.pace.seconds() > self.saved_at + self.run.settings.checkpoint_every
            # the first step is saved at once: from then on the run can be resumed
            is_due |= not self.saved_step and counts.images > 0
            asked, due = self.ranks.most(self.stopping.asked, self.ranks.is_first and is_due)
            if asked or due:
                self.save()
            if asked:
                raise Stopped(asked)
        used = self.sum(by_class.tolist())
        if is_whole and self.ranks.is_first and self.state.counts.corrupt:
            warn_of_lost_classes(self.classes, used, self.lost)

    def step(self, batch: Batch) -> Counts:
        """Compute the loss and gradients of a batch, update the weights, and return the counts."""
        images, labels = self.learner.placed(batch.images, batch.labels)
        total = int(self.sum([len(labels)])[0])
        if total < self.least_images:
            return self.passed_over(batch)
        with masks(self.run.settings.seed, self.step_number, batch.numbers):
            logits, heads = self.learner.trainee(images)
        value = loss(self.run.net, self.recipe, logits, heads, labels, total=max(total, 1))
        value.backward()  # type: ignore[no-untyped-call]
        self.ranks.average(self.learner.parameters)

        wrong = (place_of(logits.detach(), labels, self.learner.answers_by) > 1).sum()
        gradient = self.learner.largest_norm()
        sums = self.sum([value.detach(), wrong, len(batch.faults), gradient])
        mean, missed, corrupt, _ = sums
        if not all(map(isfinite, sums)):
            what = "a gradient" if isfinite(mean) else "the loss"
            problem = f"{what} of step {self.step_number + 1:,} is not finite"
            # `why_not_finite` runs the rows again; with columns, that would wait for other ranks
            if self.ranks.processes == 1:
                with masks(self.run.settings.seed, self.step_number, batch.numbers):
                    problem += f" ({self.learner.why_not_finite(images)})"
            raise self.diverged(problem)
        self.learner.optimizer.step()
        self.learner.optimizer.zero_grad()
        return Counts(total, mean * total, int(missed), int(corrupt))

    def passed_over(self, batch: Batch) -> Counts:
        """Skip a step that has too few usable images for batch normalisation."""
        count, faults = self.sum([len(batch.labels), len(batch.faults)])
        self.report.note(
            f"step {self.step_number + 1:,} is skipped: {int(count)} of its images can be used, "
            f"but batch normalisation needs {self.least_images}"
        )
        return Counts(corrupt=int(faults))

    def test(self) -> None:
        """Test after an epoch, write and report its metrics, and save a checkpoint."""
        speed, waiting = self.pace.images_per_second(), self.pace.waiting(self.batches.waited)
        errors, counts = self.errors(), self.state.counts
        self.batches.faults.require_some(counts.images)
        row = Epoch(
            epoch=self.state.epoch + 1,
            steps=self.step_number,
            lr=self.learner.lr,
            loss=counts.mean_loss,
            train_error=counts.error,
            top1=errors.top1,
            top5=errors.top5,
            images_per_second=speed,
            waiting=waiting,
            corrupt=counts.corrupt,
            seconds=self.pace.seconds(),
            untested=errors.untested,
            untested_classes=errors.untested_classes,
        )
        if self.metrics is not None:
            self.metrics.add(row)
            warn_of_chance(self.guessing, self.metrics.rows)
        if row.epoch in self.run.settings.snapshots:
            weights = self.learner.weights()
            if self.ranks.is_first:
                self.run.save_snapshot(weights, row.epoch)
        self.learner.schedule.after_epoch(self.state.epoch, errors.top1)
        self.state.schedule = self.learner.schedule.state()
        self.state.epoch, self.state.steps, self.state.counts = row.epoch, 0, Counts()
        self.save()
        self.report.epoch(row, self.pace.left())

    def errors(self) -> Errors:
        """Return the errors on the centres of the validation images."""
        classes = len(self.classes)
        counts = torch.zeros(3 + classes, dtype=torch.int64)
        try:
            for batch, outputs in answered(self.learner.test, self.tests):
                places = place_of(outputs, batch.labels, self.learner.answers_by)
                counts += counted(places, batch.labels, classes)
        except NotFiniteError as error:
            raise self.diverged(f"after step {self.step_number:,}, {error}") from None
        self.note(self.tests.faults.by_number.values())
        return Errors.of(self.sum(counts.tolist()), self.tests)

    def note(self, faults: Iterable[str]) -> None:
        """Report images that cannot be used, each image once."""
        for fault in faults:
            if fault not in self.noted:
                self.noted.add(fault)
                self.report.note(fault)

    def save(self) -> None:
        """Write a checkpoint.  Raise Diverged if a weight or a velocity is not finite."""
        if not self.learner.is_finite():
            why = first_not_finite(self.learner.trainee.model.state_dict()) or "a velocity is not"
            raise self.diverged(f"weights after step {self.step_number:,} are not finite ({why})")
        self.state.seconds = self.saved_at = self.pace.seconds()
        self.saved_step = self.step_number
        checkpoint = self.learner.checkpoint()
        if self.ranks.is_first:
            checkpoint.save(self.run.checkpoint)

    def diverged(self, problem: str) -> Diverged:
        """Return an error with the problem and advice."""
        kept = f"; the weights after step {self.saved_step:,} are kept in {self.run.checkpoint}"
        return Diverged(
            f"{problem}: start another run with a smaller learning rate, such as "
            f"--lr {self.learner.lr / 10:g}, or with other initial weights (--init)"
            f"{kept if self.saved_step else ''}"
        )

    def sum(self, numbers: Sequence[Tensor | float]) -> list[float]:
        """Return the sum of each number over all ranks."""
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self.ranks.device)
        sums: list[float] = self.ranks.sum(tensor).tolist()
        return sums

    def moment(self) -> Moment:
        """Return the progress of the run after the current step."""
        state = self.state
        return Moment(
            epoch=state.epoch + 1,
            step=state.steps,
            steps=self.batches.steps,
            loss=state.counts.mean_loss,
            error=state.counts.error,
            images_per_second=self.pace.images_per_second(),
            waiting=self.pace.waiting(self.batches.waited),
            left=self.pace.left(),
        )

    def close(self) -> None:
        """Stop the workers that load data, and close the metrics."""
        self.batches.close()
        self.tests.close()
        self.report.end()
        if self.metrics is not None:
            self.metrics.close()

"""The training loop, as the AlexNet paper describes it: batch after batch, epoch after epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch

from netspec.errors import DataError
from netspec.randomness import masks
from netspec.training import parallel
from netspec.training.augment import Augment
from netspec.training.batches import Batches
from netspec.training.checkpoint import State
from netspec.training.learner import Learner, first_checkpoint
from netspec.training.loss import loss
from netspec.training.metrics import Epoch, Metrics
from netspec.training.parallel import Ranks
from netspec.training.prepare import Prepare
from netspec.training.progress import Moment, Report
from netspec.training.run import Run, is_run
from netspec.training.settings import Settings, batch_of, epochs_of
from netspec.training.stopping import Stopped, Stopping
from netspec.training.testing import Errors, place_of, tested
from netspec.training.timing import Clock


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        run: its directory.
        name: of the net.
        epochs, steps: how many there were.
        top1, top5: the errors on the validation set behind the last epoch, in percent.
        seconds: that it learned, pauses left out.
    """

    run: Path
    name: str
    epochs: int
    steps: int
    top1: float
    top5: float
    seconds: float


def train(settings: Settings, directory: Path, *, report: Report | None = None) -> Result:
    """Train a net by its recipe, in a directory that is made for it.

    A process that torchrun has started again goes on with the run that is there.

    Raises:
        SpecError: the spec has mistakes.
        DataError: something that the run needs is missing, or it cannot go on.
        Stopped: somebody asked it to end; it has saved where it is.
    """
    with parallel.start(settings.device, columns=settings.columns) as ranks:
        if ranks.is_first and not (_is_started_again() and is_run(directory)):
            Run.create(directory, settings)
        ranks.wait()
        return _learn(Run.open(directory), ranks, report or Report())


def resume(directory: Path, *, report: Report | None = None) -> Result:
    """Go on with a run as if it had never been interrupted; on a CPU to the bit.

    Raises:
        DataError, Stopped: as :func:`train`.
    """
    run = Run.open(directory)
    with parallel.start(run.settings.device, columns=run.settings.columns) as ranks:
        return _learn(run, ranks, report or Report())


def _learn(run: Run, ranks: Ranks, report: Report) -> Result:
    net, recipe, settings = run.net, run.recipe, run.settings
    epochs, device = epochs_of(recipe), ranks.device
    report = report if ranks.is_first else Report()
    lock = run.locked() if ranks.is_first else nullcontext()
    with lock, _determinism(settings), Stopping() as stopping:
        splits = run.splits()
        statistics = run.statistics(splits.train, ranks, report)
        learner = Learner(run, ranks, _last_checkpoint(run, ranks, report))
        trainee, state = learner.trainee, learner.state
        batches = Batches(
            splits.train,
            Prepare(recipe.prepare, run.shape, statistics),
            Augment(recipe.augment, run.shape, statistics) if recipe.augment else None,
            run.shape,
            batch=batch_of(recipe),
            seed=settings.seed,
            workers=settings.workers,
            rank=ranks.rank,
            ranks=ranks.ranks,
        )
        metrics = Metrics(run.directory, state.epoch, state.epoch * batches.steps)
        report.begin(run, splits, batches.steps, epochs, state)

        while state.epoch < epochs and not learner.schedule.finished:
            lr = learner.set_rate()
            for batch in batches.epoch(state.epoch, state.steps):
                step = state.epoch * batches.steps + state.steps
                images, labels = batch.images.to(device), batch.labels.to(device)
                total = int(ranks.sum(torch.tensor(len(labels))))
                with masks(settings.seed, step, batch.numbers):
                    logits, heads = trainee(images)
                value = loss(net, recipe, logits, heads, labels, total=total)
                value.backward()
                ranks.average(learner.parameters)
                learner.optimizer.step()
                learner.optimizer.zero_grad()
                state.count(total, value, wrong)
    return result

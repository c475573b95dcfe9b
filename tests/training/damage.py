"""What may come of a run directory that is damaged."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from netspec.artifact.manifest import PLAN, SPEC, WEIGHTS
from netspec.errors import DataError
from netspec.files.tensors import opened_tensors
from netspec.inference.testing import evaluate
from netspec.language.diagnostics import SpecError
from netspec.training.directory import (
    ABOUT,
    CHECKPOINT,
    LOCK,
    METRICS,
    STATISTICS,
    SUMS,
)
from netspec.training.loop import resume
from netspec.training.metrics import read_metrics
from netspec.training.progress import Moment, Report
from netspec.training.run import Run

EARLIER = Path(__file__).parent / "earlier"
"""Runs of a version without digests: one that is paused, and the same once it had finished."""

MEMBERS = (ABOUT, SPEC, PLAN, STATISTICS, METRICS, CHECKPOINT, WEIGHTS, SUMS, LOCK)

SLOWEST = 30
"""Seconds that anything may take."""


class Enough(Exception):
    """A run learns, and need not go on."""


class Counting(Report):
    """Ends a run that was made longer than it was."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, moment: Moment) -> None:
        self.steps += 1
        if self.steps > 60:
            raise Enough


class Pausing(Report):
    """Asks the run to stop in its second epoch."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, moment: Moment) -> None:
        self.steps += 1
        if self.steps == 26:
            os.kill(os.getpid(), signal.SIGINT)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    with opened_tensors(path) as file:
        return file.read()


def opened(directory: Path) -> Any:
    run = Run.open(directory)
    return run.settings.seed, run.classes, run.threads


def evaluated(directory: Path) -> Any:
    run = Run.open(directory)
    ensemble = evaluate([directory], device="cpu").ensemble
    return ensemble, run.classes


def learned(directory: Path) -> Any:
    report = Counting()
    result = resume(directory, report=report)
    rows = [(row.epoch, row.steps, row.loss, row.top1) for row in read_metrics(directory)]
    weights = {name: tensor.tolist() for name, tensor in tensors(directory / WEIGHTS).items()}
    return result.epochs, result.steps, rows, weights


WORK: dict[str, Callable[[Path], Any]] = {"open": opened, "eval": evaluated, "resume": learned}


def outcome(work: str, directory: Path) -> Any:
    """What comes of a run directory: an error as its text, or a result."""

    def too_slow(*_: object) -> None:
        raise AssertionError(f"{work} took more than {SLOWEST} seconds")

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SLOWEST)
    try:
        return WORK[work](directory)
    except Enough:
        return "it learns"
    except DataError as error:
        assert str(error)
        assert "Traceback" not in str(error)
        return f"DataError: {error}"
    except SpecError as error:
        return f"SpecError: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_error(result: Any) -> bool:
    return isinstance(result, str) and result.startswith(("DataError", "SpecError"))

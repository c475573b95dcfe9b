"""What came of a comparison, as data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import mean, stdev
from typing import Any

from netspec.artifact.manifest import versions
from netspec.bench.machine import machine
from netspec.compare.differences import of_pairs, of_samples
from netspec.compare.experiment import Arm, Experiment
from netspec.training.metrics import Epoch


@dataclass(frozen=True)
class RunResult:
    """A run that is over: its seed, what was measured by name, and its epochs."""

    seed: int
    values: Mapping[str, float | None]
    epochs: Sequence[Epoch]


@dataclass(frozen=True)
class Search:
    """The learning rate that was best, and what was measured at each that was tried."""

    best: float
    tried: Mapping[float, float | None]


@dataclass(frozen=True)
class ArmResult:
    """An arm and its runs."""

    arm: Arm
    search: Search | None
    runs: list[RunResult] = field(default_factory=list)

    def values(self, measure: str) -> list[float]:
        """What was measured, in the runs that came to it."""
        found = (run.values[measure] for run in self.runs)
        return [value for value in found if value is not None]


def answer(
    experiment: Experiment, bed: str, asked: Mapping[str, Any], arms: Collection[ArmResult]
) -> dict[str, Any]:
    """All of it, as JSON has it.  The first arm is the one that the others are held against."""
    measures = [
        {"name": one.name, "unit": one.unit, "level": one.level} for one in experiment.measures
    ]
    first, *others = arms
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "source": experiment.source,
        "says": experiment.says,
        "note": experiment.note.get(bed, ""),
        "net": bed,
        "asked": dict(asked),
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "measures": measures,
        "arms": [_arm(one) for one in arms],
        "differences": [
            {"arm": one.arm.name, "from": first.arm.name, "measure": measure.name}
            | _difference(one, first, measure.name)
            for one in others
            for measure in experiment.measures
        ],
    }


def _arm(one: ArmResult) -> dict[str, Any]:
    arm = one.arm
    found: dict[str, Any] = {"name": arm.name, "parameters": dict(arm.parameters)}
    if arm.changes:
        found["changes"] = arm.changes
    if arm.training:
        found["training"] = dict(arm.training)
    if one.search is not None:
        tried = [{"lr": lr, "value": value} for lr, value in one.search.tried.items()]
        found["search"] = {"best": one.search.best, "tried": tried}
    names = one.runs[0].values if one.runs else ()
    return found | {
        "measures": {name: _summary(one.values(name), len(one.runs)) for name in names},
        "runs": [_run(run) for run in one.runs],
    }


def _run(run: RunResult) -> dict[str, Any]:
    columns = ("epoch", "steps", "loss", "train_error", "top1")
    epochs = [[round(getattr(row, name), 4) for name in columns] for row in run.epochs]
    seconds = run.epochs[-1].seconds if run.epochs else 0.0
    values = dict(run.values)
    return {"seed": run.seed, "values": values, "seconds": round(seconds, 1)} | {
        "columns": list(columns),
        "epochs": epochs,
    }


def _summary(values: Sequence[float], of: int) -> dict[str, Any]:
    """The mean and deviation over the runs that came to a measure, and how many did, of all."""
    return {
        "mean": mean(values) if values else None,
        "deviation": stdev(values) if len(values) > 1 else None,
        "runs": len(values),
        "of": of,
    }


def _difference(one: ArmResult, first: ArmResult, measure: str) -> dict[str, Any]:
    how = of_pairs if one.arm.shares == first.arm.name else of_samples
    found = how(one.values(measure), first.values(measure))
    if found is None:
        return {"difference": None, "low": None, "high": None, "is_larger_than_noise": None}
    return {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "is_larger_than_noise": found.is_larger_than_noise,
    }

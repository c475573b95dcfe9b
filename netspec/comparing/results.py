"""The results of a comparison, as JSON data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import mean, stdev
from typing import Any

from netspec.artifact.manifest import versions
from netspec.comparing.differences import of_pairs, of_samples
from netspec.comparing.experiment import Arm, Experiment
from netspec.timing.machine import machine
from netspec.training.metrics import Epoch


@dataclass(frozen=True)
class RunResult:
    """A finished run: its seed, its measures by name, and its epochs."""

    seed: int
    values: Mapping[str, float | None]
    epochs: Sequence[Epoch]


@dataclass(frozen=True)
class Search:
    """The best learning rate, and the measure at each rate that was tried."""

    best: float
    tried: Mapping[float, float | None]


@dataclass(frozen=True)
class ArmResult:
    """An arm and its runs."""

    arm: Arm
    search: Search | None
    runs: list[RunResult] = field(default_factory=list)

    def values(self, measure: str) -> list[float]:
        """Return the values of a measure in the runs that reached it."""
        values = (run.values[measure] for run in self.runs)
        return [value for value in values if value is not None]


def answer(
    experiment: Experiment, bed: str, asked: Mapping[str, Any], arms: Collection[ArmResult]
) -> dict[str, Any]:
    """Return all results as JSON data.  Each other arm is compared with the first."""
    measures = [{"name": m.name, "unit": m.unit, "level": m.level} for m in experiment.measures]
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
        "arms": [_arm(result) for result in arms],
        "differences": [
            {"arm": result.arm.name, "from": first.arm.name, "measure": measure.name}
            | _difference(result, first, measure.name)
            for result in others
            for measure in experiment.measures
        ],
    }


def _arm(result: ArmResult) -> dict[str, Any]:
    arm = result.arm
    described: dict[str, Any] = {"name": arm.name, "parameters": dict(arm.parameters)}
    if arm.changes:
        described["changes"] = arm.changes
    if arm.training:
        described["training"] = dict(arm.training)
    if result.search is not None:
        tried = [{"lr": lr, "value": value} for lr, value in result.search.tried.items()]
        described["search"] = {"best": result.search.best, "tried": tried}
    names = result.runs[0].values if result.runs else ()
    return described | {
        "measures": {name: _summary(result.values(name), len(result.runs)) for name in names},
        "runs": [_run(run) for run in result.runs],
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
    """Return the mean and deviation over the runs that reached a measure, and their number."""
    return {
        "mean": mean(values) if values else None,
        "deviation": stdev(values) if len(values) > 1 else None,
        "runs": len(values),
        "of": of,
    }


def _difference(result: ArmResult, first: ArmResult, measure: str) -> dict[str, Any]:
    difference_of = of_pairs if result.arm.shares == first.arm.name else of_samples
    difference = difference_of(result.values(measure), first.values(measure))
    if difference is None:
        return {"difference": None, "low": None, "high": None, "is_larger_than_noise": None}
    return {
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "is_larger_than_noise": difference.is_larger_than_noise,
    }

"""Train and measure the arms of a comparison; continue an interrupted one.

comparison.json   the request
nets/             the spec of each arm
runs/             a run directory for each arm and seed
results.json      the results
figure.png        a plot of the results
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from netspec.artifact.manifest import canonical
from netspec.comparing.experiment import Arm, Experiment
from netspec.comparing.experiments import experiment
from netspec.comparing.measuring import measured
from netspec.comparing.nets import slug, write_nets
from netspec.comparing.results import ArmResult, RunResult, Search, answer
from netspec.data import open_data
from netspec.errors import DataError
from netspec.files.members import number, optional, read, record, text, whole
from netspec.files.reading import reason_of
from netspec.files.writing import sweep, write_whole
from netspec.net import load
from netspec.training.chance import AtChance
from netspec.training.directory import is_run
from netspec.training.loop import Diverged, resume, train
from netspec.training.metrics import read_metrics
from netspec.training.progress import Report
from netspec.training.run import Run
from netspec.training.settings import Settings, lr_of

PLAN, RESULTS, FIGURE = "comparison.json", "results.json", "figure.png"
PLANNED = record(
    dict[str, Any],
    experiment=text(),
    data=text(),
    epochs=optional(whole(1)),
    batch=optional(whole(1)),
    device=text(),
)
"""The stored request, without the members that may differ when the comparison is continued."""

SEARCH_SEED = 1000
"""Seed of the runs that search for a learning rate; runs that are compared have other seeds."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a comparison.

    Attributes:
        experiment: name of the comparison.
        data: name of a data set, as for :func:`netspec.data.open_data`.
        seeds: number of runs of each arm; their seeds are 0, 1, ...
        epochs, batch: values that replace those of the recipes; None keeps the recipes'.
        workers: number of processes that load data.
        device: ``cpu`` or ``cuda``.
    """

    experiment: str
    data: str
    seeds: int = 3
    epochs: int | None = None
    batch: int | None = None
    workers: int = 0
    device: str = "cpu"


class Telling:
    """Receiver of the progress of a comparison; this base class does nothing."""

    def begin(self, number: int, of: int, name: str) -> Report:
        """Called when run ``number`` of ``of`` begins or continues; return its report."""
        return Report()

    def done(self, number: int, of: int, name: str, values: Mapping[str, float | None]) -> None:
        """Called when a run has finished and its measures are known."""


def compare(asked: Asked, directory: Path, telling: Telling | None = None) -> dict[str, Any]:
    """Train and measure all runs that are not finished; write the results and return them.

    Args:
        asked: the request.
        directory: folder of the comparison; an existing one is continued.
        telling: receives the progress.

    Raises:
        DataError: if the comparison does not exist or does not support the data, or if a run
            cannot continue.
        Stopped: if a signal stopped it; the same call continues it.
    """
    chosen = experiment(asked.experiment)
    bed, arms = chosen.arms_for(asked.data)
    classes = len(open_data(asked.data).train.classes)
    _keep_plan(asked, directory)
    specs = write_nets(arms, bed, classes, directory / "nets")
    results = _Comparison(chosen, arms, asked, directory, specs, telling or Telling()).results()
    document = answer(chosen, bed, asdict(asked), results.values())
    write_whole(directory / RESULTS, json.dumps(document, indent=1).encode() + b"\n")
    return document


def _keep_plan(asked: Asked, directory: Path) -> None:
    """Write the request, or check that the folder has the same one.

    The numbers of seeds and of workers may differ, so that seeds can be added later.
    """
    plan = {key: value for key, value in asdict(asked).items() if key not in ("seeds", "workers")}
    path = directory / PLAN
    sweep(directory)
    if os.path.lexists(path):
        kept_plan = read(path, PLANNED, "use another folder")
        differ = [key for key in plan if kept_plan[key] != plan[key]]
        if differ:
            told = ", ".join(f"{key} {kept_plan[key]}" for key in differ)
            raise DataError(
                f"{directory} contains another comparison, with {told}: use another folder"
            )
        return
    if directory.is_dir() and any(directory.iterdir()):
        raise DataError(f"{directory} contains other files: use another folder for the comparison")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {directory}: {reason_of(error)}") from None
    write_whole(path, canonical(plan))


class _Comparison:
    """A comparison and its folder."""

    def __init__(
        self,
        experiment: Experiment,
        arms: tuple[Arm, ...],
        asked: Asked,
        directory: Path,
        specs: Mapping[str, Path],
        telling: Telling,
    ) -> None:
        self.experiment, self.arms, self.asked = experiment, arms, asked
        self.runs, self.specs, self.telling = directory / "runs", specs, telling
        self.number = 0
        trained = sum(not arm.shares for arm in arms)
        self.of = trained * len(experiment.factors) + len(arms) * asked.seeds

    def results(self) -> dict[str, ArmResult]:
        """Train and measure all arms with all seeds; search for learning rates first, if needed."""
        results = {arm.name: ArmResult(arm, self.searched(arm)) for arm in self.arms}
        for seed in range(self.asked.seeds):
            # arms that use the weights or the nets of another arm must run after it
            for arm in sorted(self.arms, key=lambda arm: bool(arm.begins_with or arm.shares)):
                result = results[arm.name]
                rate = None if result.search is None else result.search.best
                result.runs.append(self.run(arm, seed, rate))
        return results

    def searched(self, arm: Arm) -> Search | None:
        """Return the learning rate with the best first measure; None if there is no search.

        Raises:
            DataError: if the measure was not reached at any rate.
        """
        if not self.experiment.factors:
            return None
        first = self.experiment.measures[0]
        recipe = load(self.specs[arm.name]).recipe
        assert recipe is not None
        tried = {}
        for factor in self.experiment.factors:
            rate = float(f"{lr_of(recipe) * factor:.2g}")
            tried[rate] = self.run(arm, SEARCH_SEED, rate).values[first.name]
        reached = {rate: value for rate, value in tried.items() if value is not None}
        if not reached:
            raise DataError(
                f"{arm.name}: {first.name}: not reached at any learning rate: "
                "use more --epochs, in another folder"
            )
        return Search(min(reached, key=lambda rate: reached[rate]), tried)

    def run(self, arm: Arm, seed: int, rate: float | None) -> RunResult:
        """Return the result of one run; train and measure it if that is not done yet."""
        self.number += 1
        directory = self.run_directory(arm, seed, rate)
        name = f"{arm.name}, seed {seed}" + ("" if rate is None else f", lr {rate:g}")
        report = self.telling.begin(self.number, self.of, name)
        try:
            with suppress(AtChance):  # a run that learned nothing is a result too
                if not is_run(directory):
                    train(self.settings(arm, seed, rate), directory, report=report)
                elif not Run.open(directory).is_finished:
                    resume(directory, report=report)
            values = self.measured(arm, directory)
        except Diverged:
            values = {measure.name: None for measure in self.experiment.measures}
        self.telling.done(self.number, self.of, name, values)
        return RunResult(seed, values, read_metrics(directory))

    def run_directory(self, arm: Arm, seed: int, rate: float | None) -> Path:
        """Return the directory of a run."""
        searched = f"-lr-{rate:g}" if seed == SEARCH_SEED else ""
        return self.runs / f"{slug(arm.shares or arm.name)}-{seed}{searched}"

    def settings(self, arm: Arm, seed: int, rate: float | None) -> Settings:
        """Return the settings of a run."""
        asked = self.asked
        changes: dict[str, Any] = {"epochs": asked.epochs, "batch": asked.batch, "lr": rate}
        if arm.begins_with:
            (source,) = (a for a in self.arms if a.name == arm.begins_with)
            changes["init_from"] = str(self.run_directory(source, seed, rate))
        return Settings(
            spec=str(self.specs[arm.shares or arm.name]),
            data=asked.data,
            seed=seed,
            workers=asked.workers,
            device=asked.device,
            **changes,
            **arm.training,
        )

    def measured(self, arm: Arm, directory: Path) -> dict[str, float | None]:
        """Return the measures of a run; they are computed once and stored in its directory."""
        path = directory / f"measured-{slug(arm.name)}.json"
        if os.path.lexists(path):
            names = (measure.name for measure in self.experiment.measures)
            kind = record(dict[str, float | None], **dict.fromkeys(names, optional(number())))
            return read(path, kind, f"remove {path.name}; it will be measured again")
        values = measured(
            Run.open(directory),
            self.experiment.measures,
            is_tencrop=arm.is_tencrop,
            workers=self.asked.workers,
        )
        write_whole(path, canonical(values))
        return values

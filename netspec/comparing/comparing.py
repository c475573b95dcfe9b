"""Training and measuring the arms of a comparison, and going on where that stopped.

comparison.json   what was asked for
nets/             the spec of each arm
runs/             a run directory for each arm and seed
results.json      what was measured
figure.png        the same, drawn
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
"""The kept request, without the members that may change when the comparison goes on."""

SEARCH_SEED = 1000
"""The seed of the runs that search a learning rate; no compared run has it."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for a comparison.

    Attributes:
        experiment: the name of a comparison.
        data: a data set, as :func:`netspec.data.open_data` takes it.
        seeds: how often each arm is trained, with the seeds from 0.
        epochs, batch: in place of what the recipes say.
        workers: processes that load data.
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
    """Receives the progress of a comparison; this one shows nothing."""

    def begin(self, number: int, of: int, name: str) -> Report:
        """Run ``number`` of ``of`` begins, or goes on; return the report for it."""
        return Report()

    def done(self, number: int, of: int, name: str, values: Mapping[str, float | None]) -> None:
        """A run is over and measured."""


def compare(asked: Asked, directory: Path, telling: Telling | None = None) -> dict[str, Any]:
    """Train and measure the runs that are missing; write the results and return them.

    Raises:
        DataError: the comparison does not exist, it is not for such data, or a run cannot go on.
        Stopped: a signal ended it; the same call goes on.
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
    """Write the request; a folder is for one comparison, of any number of seeds."""
    plan = {key: value for key, value in asdict(asked).items() if key not in ("seeds", "workers")}
    path = directory / PLAN
    sweep(directory)
    if os.path.lexists(path):
        kept_plan = read(path, PLANNED, "name another folder")
        differ = [key for key in plan if kept_plan[key] != plan[key]]
        if differ:
            told = ", ".join(f"{key} {kept_plan[key]}" for key in differ)
            raise DataError(f"{directory} holds a comparison of {told}: name another folder")
        return
    if directory.is_dir() and any(directory.iterdir()):
        raise DataError(f"{directory} holds other files: name another folder for the comparison")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {directory}: {reason_of(error)}") from None
    write_whole(path, canonical(plan))


class _Comparison:
    """A comparison in its folder."""

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
        """Train and measure all arms with all seeds; search learning rates first, if asked."""
        results = {arm.name: ArmResult(arm, self.searched(arm)) for arm in self.arms}
        for seed in range(self.asked.seeds):
            # an arm that begins with another's weights, or tests its nets, comes after it
            for arm in sorted(self.arms, key=lambda arm: bool(arm.begins_with or arm.shares)):
                result = results[arm.name]
                rate = None if result.search is None else result.search.best
                result.runs.append(self.run(arm, seed, rate))
        return results

    def searched(self, arm: Arm) -> Search | None:
        """Return the learning rate at which an arm is best by the first measure, if it is searched.

        Raises:
            DataError: the measure was not reached at any rate.
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
                f"{arm.name}: {first.name} were not enough at any learning rate: "
                "give it more --epochs, in another folder"
            )
        return Search(min(reached, key=lambda rate: reached[rate]), tried)

    def run(self, arm: Arm, seed: int, rate: float | None) -> RunResult:
        """Return the result of one run; train and measure it first where that is not done."""
        self.number += 1
        directory = self.run_directory(arm, seed, rate)
        name = f"{arm.name}, seed {seed}" + ("" if rate is None else f", lr {rate:g}")
        report = self.telling.begin(self.number, self.of, name)
        try:
            with suppress(AtChance):  # which is a result
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
        """Return the measures of a run; measure it once."""
        path = directory / f"measured-{slug(arm.name)}.json"
        if os.path.lexists(path):
            names = (measure.name for measure in self.experiment.measures)
            kind = record(dict[str, float | None], **dict.fromkeys(names, optional(number())))
            return read(path, kind, f"remove {path.name}, and it is measured again")
        values = measured(
            Run.open(directory),
            self.experiment.measures,
            is_tencrop=arm.is_tencrop,
            workers=self.asked.workers,
        )
        write_whole(path, canonical(values))
        return values

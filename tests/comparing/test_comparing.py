"""A comparison trains what is not there yet, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from netspec.comparing import comparing
from netspec.comparing.comparing import Asked, Telling, compare
from netspec.comparing.experiment import Experiment
from netspec.comparing.experiments import experiment
from netspec.errors import DataError
from netspec.training.loop import Diverged
from netspec.training.metrics import Epoch
from netspec.training.progress import Report
from netspec.training.run import Run

DAMAGED = ("", "{", "[]", "\xff", "null", '{"experiment": 3}', "[" * 100_000, '{"a": NaN}')


def asked(name: str, data: str, **options: Any) -> Asked:
    return Asked(experiment=name, data=data, **{"seeds": 1, "epochs": 1, "batch": 48} | options)


class Names(Telling):
    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, number: int, of: int, name: str) -> Report:
        self.begun.append(f"{number}/{of} {name}")
        return Report()


class Interrupting(Telling):
    """Ctrl-C behind the first epoch of the second run."""

    def begin(self, number: int, of: int, name: str) -> Report:
        class Impatient(Report):
            def epoch(self, row: Epoch, left: float) -> None:
                raise KeyboardInterrupt

        return Impatient() if number == 2 else Report()


def values(answer: Mapping[str, Any]) -> list[Any]:
    return [[run["values"], run["epochs"]] for arm in answer["arms"] for run in arm["runs"]]


def test_an_interrupted_comparison_goes_on_and_ends_as_one_that_was_not(
    data: str, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        compare(asked("decay", data, epochs=2), tmp_path / "cut", Interrupting())
    stopped = Run.open(tmp_path / "cut" / "runs" / "without-0")
    assert not stopped.is_finished
    began = stopped.directory.joinpath("run.json").stat().st_ino
    cut = compare(asked("decay", data, epochs=2), tmp_path / "cut")
    whole = compare(asked("decay", data, epochs=2), tmp_path / "whole")
    assert values(cut) == values(whole)
    assert stopped.directory.joinpath("run.json").stat().st_ino == began  # resumed, not repeated
    assert cut["differences"][0]["difference"] is None  # of one seed
    assert json.loads((tmp_path / "cut" / "results.json").read_bytes()) == cut


def test_what_is_there_is_not_trained_again_and_seeds_are_added(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare(asked("tencrop", data), tmp_path)
    calls: list[Path] = []
    train = comparing.train

    def counting(settings: Any, directory: Path, **options: Any) -> Any:
        calls.append(directory)
        return train(settings, directory, **options)

    monkeypatch.setattr(comparing, "train", counting)
    monkeypatch.setattr(comparing, "measured", None)  # is kept beside the run
    assert values(compare(asked("tencrop", data), tmp_path)) == values(first)
    assert not calls
    monkeypatch.undo()
    monkeypatch.setattr(comparing, "train", counting)
    second = compare(asked("tencrop", data, seeds=2), tmp_path)
    assert [path.name for path in calls] == ["ten-crops-1"]  # the centre tests the same nets
    assert values(second)[::2] == values(first)
    (kept,) = (tmp_path / "runs" / "ten-crops-0").glob("measured-ten-crops.json")
    for damaged in (*DAMAGED, '{"test error": "low"}', '{"test error": 1e400}'):
        kept.write_text(damaged, encoding="latin-1")
        with pytest.raises(DataError, match=f"{kept} .*; remove {kept.name}; it will be measured"):
            compare(asked("tencrop", data, seeds=2), tmp_path)
    ten, centre = (arm["runs"][0]["values"]["test error"] for arm in second["arms"])
    assert ten != centre


def test_a_folder_is_for_one_comparison(data: str, tmp_path: Path) -> None:
    compare(asked("tencrop", data), tmp_path / "one")
    with pytest.raises(
        DataError, match="contains another comparison, with epochs 1: use another folder"
    ):
        compare(asked("tencrop", data, epochs=2), tmp_path / "one")
    plan = tmp_path / "one" / "comparison.json"
    for damaged in DAMAGED:
        plan.write_text(damaged, encoding="latin-1")
        with pytest.raises(DataError, match=f"{plan} .*; use another folder"):
            compare(asked("tencrop", data), tmp_path / "one")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(DataError, match="contains other files"):
        compare(asked("tencrop", data), tmp_path / "other")


def test_each_arm_gets_the_best_of_the_rates_and_one_that_diverges_is_none(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(run: Run, *_: Any, **__: Any) -> dict[str, float | None]:
        rate, is_relu = run.settings.lr, run.net.name.endswith("relu")
        assert rate is not None
        return {"steps to 25 % training error": abs(rate - (0.01 if is_relu else 0.0033))}

    train = comparing.train

    def diverging(settings: Any, directory: Path, **options: Any) -> Any:
        train(settings, directory, **options)
        if settings.lr > 0.05:
            raise Diverged("a weight is not finite")

    monkeypatch.setattr(comparing, "measured", measured)
    monkeypatch.setattr(comparing, "train", diverging)
    names = Names()
    answer = compare(asked("relu-tanh", data), tmp_path, names)
    assert [arm["search"]["best"] for arm in answer["arms"]] == [0.01, 0.0033]
    tried = answer["arms"][0]["search"]["tried"]
    assert [one["lr"] for one in tried] == [0.0033, 0.01, 0.03, 0.09]
    assert tried[-1]["value"] is None
    assert names.begun[0] == "1/10 relu, seed 1000, lr 0.0033"
    assert names.begun[-1] == "10/10 tanh, seed 0, lr 0.0033"
    settings = Run.open(tmp_path / "runs" / "relu-0").settings
    assert (settings.decay, settings.is_augmented, settings.lr) == (0, False, 0.01)


def test_a_warm_start_begins_with_the_weights_of_the_shallow_net(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Notes(Telling):
        def begin(self, number: int, of: int, name: str) -> Report:
            report = Report()
            report.note = told.append  # type: ignore[method-assign]
            return report

    compare(asked("warmstart", data), tmp_path, Notes())
    copied, left, *_ = told
    assert copied.endswith("C1.weight, C1.bias, C3.weight, C3.bias, C5.weight, C5.bias, "
                           "F6.weight, F6.bias, out.weight, out.bias")  # fmt: skip
    assert "E1.weight (not in the run)" in left
    assert {*load_file(tmp_path / "runs" / "warm-0" / "weights.safetensors")} > {
        *load_file(tmp_path / "runs" / "shallow-0" / "weights.safetensors")
    }


def test_measures_are_of_the_runs_own_test(data: str, tmp_path: Path) -> None:
    crops: Experiment = experiment("crops")
    answer = compare(asked("crops", data), tmp_path)
    assert [one["name"] for one in answer["measures"]] == [one.name for one in crops.measures]
    for arm in answer["arms"]:
        (run,) = arm["runs"]
        got = run["values"]
        # what the loop tested behind the last epoch
        assert got["test error"] == pytest.approx(run["epochs"][-1][-1], abs=1e-4)
        assert got["gap between the two"] == got["test error"] - got["training error"]

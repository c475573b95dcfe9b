from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.digits import main
from benchmarks.results import FOLDER


def test_runs_are_measured_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seeds", "2", "--epochs", "1"], tmp_path)
    (path,) = tmp_path.glob("digits-*.json")
    kept = json.loads(path.read_text())
    errors = [run["error"] for run in kept["runs"]]
    assert errors[0] != errors[1]
    assert kept["mean_error"] == pytest.approx(sum(errors) / 2, abs=1e-3)
    printed = capsys.readouterr().out.splitlines()[-1].split()
    assert printed[:2] == ["mean", "error"]
    assert float(printed[2]) == pytest.approx(kept["mean_error"], abs=0.011)  # two decimals


def test_lenet5_learns_the_digits_well_and_soon() -> None:
    paths = list(FOLDER.glob("digits-*.json"))
    assert paths
    for path in paths:
        kept = json.loads(path.read_text())
        assert len(kept["runs"]) == 3
        assert kept["mean_error"] <= 2  # right on 98 % of the held-out digits
        assert max(run["seconds"] for run in kept["runs"]) < 180

"""Loss and errors of runs, and the changes of the rate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import netspec
from netspec.errors import DataError
from netspec.see.curves import Curves


def test_curves_are_the_metrics_of_the_run(run: Path) -> None:
    (curve,) = netspec.see.curves(run).runs
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert curve.epochs.tolist() == [1, 2, 3]
    for name in ("loss", "train_error", "top1", "top5"):
        assert getattr(curve, name).tolist() == [row[name] for row in rows]
    assert curve.rates.tolist() == pytest.approx([0.1, 0.1, 0.01])
    assert curve.changes == [2]


def test_changes_of_the_rate_are_marked_in_both_charts(run: Path) -> None:
    left, right = netspec.see.curves(run).figure().axes
    for axes in (left, right):
        dotted = [line for line in axes.get_lines() if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in dotted] == [2.5]
    assert [(text.get_text(), text.xy[0]) for text in left.texts] == [("lr 0.01", 2.5)]


def test_several_runs_are_in_one_picture(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(run, other)
    seen = netspec.see.curves([run, other])
    assert [curve.run for curve in seen.runs] == [str(run), str(other)]
    left, right = seen.figure().axes
    assert sum(len(line.get_xdata()) == 3 for line in left.get_lines()) == 2
    assert sum(len(line.get_xdata()) == 3 for line in right.get_lines()) == 4
    assert "Loss and errors of 2 runs" in seen.caption


def legend_of(seen: Curves) -> list[str]:
    legend = seen.figure().axes[1].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_every_run_is_in_the_legend(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("_a", "b$x$c", "\x07", "c/run", "d/run")
    paths = [shutil.copytree(run, tmp_path / name) for name in names]
    # matplotlib omits a line whose own label begins with _
    expected = ["_a", "b$x$c", "·"]
    assert legend_of(netspec.see.curves(paths[:3])) == [
        f"{name}, {split}" for name in expected for split in ("validation", "training")
    ]
    # the last part of their paths that differs
    assert legend_of(netspec.see.curves(paths[3:]))[::2] == [
        "c/run, validation",
        "d/run, validation",
    ]
    monkeypatch.chdir(paths[0])
    assert netspec.see.curves(".").caption.endswith("\nsmall, run _a")


def test_a_run_of_one_epoch_has_whole_numbers_and_marks_that_differ(
    run: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(run, begun)
    metrics = begun / "metrics.jsonl"
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[0])
    left, right = netspec.see.curves(begun).figure().axes
    for axes in (left, right):
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
        assert axes.get_yscale() == "linear"
        assert axes.get_ylim()[0] == 0
    marks = {line.get_markerfacecolor() for line in right.get_lines()}
    assert len(marks) == 2


def test_what_is_not_a_run_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lenet5 is not a run"):
        netspec.see.curves("lenet5")
    begun = tmp_path / "begun"
    shutil.copytree(run, begun)
    (begun / "metrics.jsonl").unlink()
    with pytest.raises(DataError, match="begun does not have a finished epoch yet"):
        netspec.see.curves(begun)
    with pytest.raises(ValueError, match="runs must be the path of a run"):
        netspec.see.curves([])

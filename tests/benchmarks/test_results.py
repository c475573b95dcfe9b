"""Results on disk: whole files, taken up again where a run stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.results import Results

MACHINE = {"gpu": "NVIDIA H200", "driver": "1", "torch": "2"}
ENTRY = {"floor_us": 1.0, "engines": {"netspec": {"median_us": 2.0}, "eager": {"error": "no"}}}


def test_a_file_is_named_after_its_gpu(tmp_path: Path) -> None:
    path = results.path_for("NVIDIA H100 80GB HBM3", tmp_path)
    assert path == tmp_path / "kernels-nvidia-h100-80gb-hbm3.json"


def test_what_is_kept_is_found_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "results" / "kernels-x.json"
    Results(path, MACHINE, "k1").put("cases", "conv", ENTRY)
    again = Results(path, MACHINE, "k1")
    assert again.has("cases", "conv", ["netspec", "eager"])  # a failure was measured, too
    assert not again.has("cases", "conv", ["netspec", "compile"])
    assert not again.has("cases", "fc", ["netspec"])
    assert not again.has("tuned", "conv", ["netspec"])
    record = json.loads(path.read_text())
    assert record["machine"] == MACHINE
    assert len(record["date"]) == len("2026-01-31")


def test_results_count_for_the_same_kernels_and_versions_only(tmp_path: Path) -> None:
    path = tmp_path / "kernels-x.json"
    Results(path, MACHINE, "k1").put("cases", "conv", ENTRY)
    assert not Results(path, MACHINE, "k2").has("cases", "conv", ["netspec"])
    other = Results(path, MACHINE | {"driver": "2"}, "k1")
    assert other.dropped == 1
    assert not other.has("cases", "conv", ["netspec"])


def test_an_interrupted_write_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kernels-x.json"
    kept = Results(path, MACHINE, "k1")
    kept.put("cases", "conv", ENTRY)
    before = path.read_text()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kept.put("cases", "fc", ENTRY)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_digest_follows_the_source_of_the_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    source = tmp_path / "kernels" / "conv" / "a.py"
    source.parent.mkdir(parents=True)
    source.write_text("1")
    first = results.digest("kernels")
    assert results.digest("kernels") == first
    source.write_text("2")
    assert results.digest("kernels") != first

"""What the page and its plots show of an output folder: what was measured, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import plots
from benchmarks.gpu import collect
from benchmarks.gpu.journal import Journal, Log
from benchmarks.gpu.page import sections
from benchmarks.layers import FORWARD, cases

GPU = {"gpu": "Made-up 1", "driver": "7", "torch": "2.11.0"}


def engine(log: Log, name: str, **figures: Any) -> None:
    log.result(f"alexnet 32 {name}", net="alexnet", batch=32, engine=name, **figures)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The output folder of a run with figures that a stand-in made up."""
    journal = Journal(tmp_path / "out")
    Log(journal, "probe").result("machine", **GPU)
    smoke = Log(journal, "smoke")
    smoke.result("lrn; 9x7x21; lrn 5; 2; fp16; triton", off=0.25)
    smoke.result("lrn; 3x3x9; lrn 5; 2; fp16; triton", off=7.0, wrong="7 times the allowed error")
    smoke.result("part fc", error="exit code -11: Segmentation fault")
    whole = Log(journal, "whole")
    whole.result("alexnet, batch 8", deviation=0.001, allowed=0.01, replays=200)
    rates = {"copy_bytes_per_second": 4.25e12, "product_operations_per_second": 7.8e14}
    Log(journal, "floors").result("rates", bf16=rates)
    nets = Log(journal, "nets-alexnet-32")
    engine(nets, "netspec", median_ms=2.0, spread_ms=[1.9, 2.1], deviation=0.0, allowed=0.1)
    engine(nets, "eager-channels-last", median_ms=5.0, spread_ms=[4.9, 5.1])
    engine(nets, "inductor-aten", median_ms=1.0, spread_ms=[1, 1], disagrees="relative error 1")
    tuned = Log(journal, "tuned-alexnet-32")
    tuned.result("tuned x", problem="x", outcomes={"triton": 1e-5, "cudnn": "no engine"})
    engine(tuned, "netspec-tuned", median_ms=1.0, spread_ms=[1, 1])
    engine(tuned, "eager-channels-last", median_ms=4.0, spread_ms=[4, 4])
    engine(tuned, "inductor-aten", error="its process ended with code -9")
    against = Log(journal, "against")
    against.result("alexnet C1, batch 256", us={"triton": 12.5, "aten": "none"})
    tiles = {"tiled-256x64x64-4w4s": 7.0, "tiled-64x64x64-4w4s": 6.0, "split-2": "no memory"}
    against.result("alexnet C2, batch 256", us={"triton": 9.0, **tiles})
    step = {"stage": "C1.relu", "way": "triton", "us": 20.0, "floor_us": 5.0}
    Log(journal, "layers").result("alexnet-32", net="alexnet", batch=32, steps=[step])
    counted = {"kernel": "implicit", "memory_percent": "61.5"}
    Log(journal, "counters").result("fc; alexnet; F6", kernels=[counted])
    for stage in ("probe", "smoke", "floors"):
        journal.add("end", stage, outcome="done", seconds=2.0)
    journal.add("end", "memcheck", outcome="killed after 45 s", seconds=45.0)
    Log(journal, "counters").result("tool", skipped="ncu is not installed")
    journal.add("call", "", budget=330, seconds=300.5, left_out=["counters"])
    kept = {"made_with": {"device": "Made-up 1"}, "works": {"x": {"triton": 1e-5}}}
    (journal.folder / "cuda-0123.json").write_text(json.dumps(kept), encoding="utf-8")
    return journal.folder


def test_one_command_makes_results_of_a_folder(
    folder: Path, tmp_path: Path, performance: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert collect.main([str(folder)], results) == 0
    names = {path.name for path in results.iterdir()}
    assert names == {"gpu-made-up-1.json", "tuned-made-up-1-0123.json"}
    assert capsys.readouterr().out.split() == [str(results / name) for name in sorted(names)]
    tuned = json.loads((results / "tuned-made-up-1-0123.json").read_text())
    assert tuned["works"] == {"x": {"triton": 1e-5}}
    (figures,) = performance.load(results, kind="gpu")
    page = performance.page(gpu=[figures])
    assert "Not measured: GPU" not in page
    assert "Made-up 1" in page
    # Every number of a result is one of the journal.
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    for one in figures["results"]:
        assert any(one.items() <= line.items() for line in lines)
    assert figures["calls"] == [{"budget": 330, "seconds": 300.5, "left_out": ["counters"]}]


def test_times_of_several_gpus_or_versions_are_all_kept(folder: Path, tmp_path: Path) -> None:
    other = {"made_with": {"device": "Made-up 2"}, "works": {"x": {"triton": 2e-5}}}
    (folder / "cuda-4567.json").write_text(json.dumps(other), encoding="utf-8")
    results = tmp_path / "results"
    assert collect.main([str(folder)], results) == 0
    kept = {path.name: json.loads(path.read_text()) for path in results.glob("tuned-*.json")}
    assert kept.keys() == {"tuned-made-up-1-0123.json", "tuned-made-up-2-4567.json"}
    assert kept["tuned-made-up-2-4567.json"] == other


def test_a_folder_without_a_gpu_makes_no_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Log(Journal(tmp_path / "out"), "probe").result("machine", error="PyTorch does not find a GPU")
    assert collect.main([str(tmp_path / "out")], tmp_path / "results") == 1
    assert "no description of a GPU" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_the_sections_of_a_gpu(folder: Path) -> None:
    page = "\n".join(sections([collect.collect(Journal(folder))]))
    assert "driver 7, torch 2.11.0." in page
    assert "3 of " in page
    assert "memcheck (killed after 45 s)" in page
    assert "whole (left out)" in page
    assert "Skipped in `counters`: ncu is not installed." in page
    assert "| lrn (smoke) | 2 | 1 | 0 | 7.00 |" in page
    assert "- `smoke` lrn; 3x3x9; lrn 5; 2; fp16; triton: 7 times the allowed error" in page
    assert "- `smoke` part fc: exit code -11: Segmentation fault" in page
    assert "| alexnet, batch 8 | 1.0e-03 | 1.0e-02 | right |" in page
    assert "a copy moves 4.25 TB/s, and matrix products reach 780 TFLOP/s" in page
    peer = "eager-channels-last"
    first = f"| alexnet | 32 | 2.00 | – | 5.00 | – | 1.00 (disagrees) | – | {peer} | 2.50× |"
    assert first in page  # who disagrees is shown, and is not the best peer
    assert f"| alexnet | 32 | – | 1.00 | 4.00 | – | failed | – | {peer} | 4.00× |" in page
    assert "| layer | triton | aten | other tiles | fastest of them |" in page
    assert "| alexnet C1, batch 256 | 12.5 | failed | – | – |" in page
    assert "| alexnet C2, batch 256 | 9.00 | – | 6.00 | tiled-64x64x64-4w4s, 1 failed |" in page
    assert "| C1.relu | triton | 20.0 | 5.00 | 25% |" in page
    assert "| fc; alexnet; F6 | implicit | 61.5 |" in page
    assert "](images/ratios-made-up-1.svg)" in page


def test_an_engine_that_failed_or_disagrees_is_explained(folder: Path) -> None:
    nets = Log(Journal(folder), "nets-alexnet-32")
    engine(nets, "netspec", median_ms=0.5, spread_ms=[1, 1], disagrees="relative error 2")
    engine(nets, "eager-channels-last", median_ms=5.0, spread_ms=[5, 5])
    engine(nets, "inductor-aten", median_ms=6.0, spread_ms=[6, 6])
    page = "\n".join(sections([collect.collect(Journal(folder))]))
    assert "- alexnet, batch 32, netspec: relative error 2" in page
    assert "- alexnet, batch 32, inductor-aten: its process ended with code -9" in page
    # netspec is wrong here: it has no ratio, however fast it is.
    assert "| 0.500 (disagrees) | – | 5.00 | – | 6.00 | – | eager-channels-last | – |" in page


def test_of_a_stage_that_ran_twice_one_run_is_shown(folder: Path) -> None:
    """Times of two runs are not compared with each other, and what the first one found stays."""
    nets = Log(Journal(folder), "nets-alexnet-32")
    engine(nets, "netspec", median_ms=99.0, spread_ms=[99, 99])
    engine(nets, "eager-channels-last", error="no answer to 'turn' in time", is_late=True)
    page = "\n".join(sections([collect.collect(Journal(folder))]))
    assert "| alexnet | 32 | 2.00 | – | 5.00 |" in page
    assert "99" not in page


def test_errors_that_are_not_finite_are_shown(folder: Path, tmp_path: Path) -> None:
    journal = Journal(folder)
    Log(journal, "smoke").result("fc; 3x5x7; fc 9; 1; fp16", off=float("inf"), wrong="inf")
    Log(journal, "whole").result(
        "vgg16_3, batch 1", deviation=float("nan"), allowed=0.01, wrong="x"
    )
    assert collect.main([str(folder)], tmp_path / "results") == 0
    text = (tmp_path / "results" / "gpu-made-up-1.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    page = "\n".join(sections([json.loads(text)]))
    assert "| fc (smoke) | 1 | 1 | 0 | not finite |" in page
    assert "| vgg16_3, batch 1 | not finite | 1.0e-02 | x |" in page


def test_without_a_run_there_is_no_section() -> None:
    assert list(sections([])) == []


def test_an_empty_run_has_no_figures(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    Log(journal, "probe").result("machine", **GPU)
    page = "\n".join(sections([collect.collect(journal)]))
    assert "|" not in page
    assert "0 of " in page


def test_plots_show_what_was_measured(folder: Path, tmp_path: Path) -> None:
    figures = collect.collect(Journal(folder))
    assert list(plots.ratios(figures)) == [
        ("alexnet, batch 32", "eager-channels-last", 2.5),
        ("alexnet, batch 32, tuned", "eager-channels-last", 4.0),
    ]
    measured = [c for c in cases(["alexnet"], [1], ["lrn"], "bf16") if c.direction == FORWARD]
    layer = {"floor_us": 4.0, "engines": {"netspec": {"median_us": 5.0}}}
    kernels = {"machine": GPU, "cases": {case.key: layer for case in measured}}
    assert set(plots.shares("alexnet", kernels)) == {
        ("C1.lrn", "batch 1", 0.8),
        ("C2.lrn", "batch 1", 0.8),
    }
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    plots.draw(figures, kernels, drawn)
    names = {path.name for path in drawn.iterdir()}
    assert names == {"floor-alexnet-made-up-1.svg", "ratios-made-up-1.svg"}
    first = (drawn / "ratios-made-up-1.svg").read_bytes()
    assert first.startswith(b"<?xml")
    plots.draw(figures, kernels, drawn)
    assert (drawn / "ratios-made-up-1.svg").read_bytes() == first

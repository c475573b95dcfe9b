"""What the page and its plots say of the stages of ``make gpu``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import plots
from benchmarks.layers import FORWARD, cases
from benchmarks.page import STEPS
from netspec.timing import DEVICES

MACHINE = {"gpu": "Made-up 1", "driver": "7"}


def entry(name: str, outcome: float | str) -> dict[str, Any]:
    is_time = isinstance(outcome, float)
    error = None if is_time else outcome
    median = outcome if is_time else None
    return {"name": name, "median_ms": median, "spread_ms": [median, median], "error": error}


@pytest.fixture
def figures() -> dict[str, Any]:
    engines = [entry("netspec", 2.0), entry("eager", 5.0), entry("eager-channels-last", 4.0)]
    engines.append(entry("inductor", "RuntimeError: none"))
    net = {"spec": "alexnet", "batch": 32, "engines": engines, "floor": {"ms": 1.0}}
    net |= {"best_peer": "eager-channels-last", "ratio": 2.0}
    steps = {"netspec": {"median_ms": 10.0}, "eager": {"median_ms": 30.0}}
    steps["compile"] = {"error": "disagrees"}  # type: ignore[dict-item]
    step = {"net": "alexnet", "batch": 128, "floor_ms": 5.0, "engines": steps}
    answers = {"machine": {}, "test-fc": "5 passed, 1 skipped in 2.00s"}
    answers |= {"nets-alexnet-32": {"cases": [net]}, "steps-128": step}
    stage = {"date": "2000-01-01", "seconds": 1.0, "sources": "x"}
    return {
        "machine": MACHINE,
        "stages": {name: stage | {"answer": answer} for name, answer in answers.items()},
    }


@pytest.fixture
def kernels() -> dict[str, Any]:
    lrn_cases = [c for c in cases(["alexnet"], [1], ["lrn"], "bf16") if c.direction == FORWARD]
    entry = {"floor_us": 4.0, "engines": {"netspec": {"median_us": 5.0}}}
    return {"machine": MACHINE, "cases": {case.key: entry for case in lrn_cases}}


def test_a_gpu_has_its_nets_steps_tests_and_plots(
    performance: Any, figures: dict[str, Any], kernels: dict[str, Any]
) -> None:
    page = "\n".join(performance.stages([figures], [kernels]))
    assert "Measured from 2000-01-01 to 2000-01-01: gpu Made-up 1, driver 7." in page
    row = "| alexnet | 32 | 2.00 | 5.00 | 4.00 | failed | 1.00 | eager-channels-last | 2.00× |"
    assert row in page
    assert "| alexnet | 128 | 10.0 | 30.0 | disagrees | 5.00 | 3.00× |" in page
    assert "| test-fc | 5 passed, 1 skipped in 2.00s |" in page
    assert "](images/floor-alexnet-made-up-1.svg)" in page
    assert "](images/ratios-made-up-1.svg)" in page
    assert "floor-vgg16" not in page  # nothing was measured of it


def test_without_stages_there_is_no_section(performance: Any) -> None:
    assert list(performance.stages([], [])) == []
    assert len(STEPS) == len(DEVICES["cuda"])


def test_plots_show_what_was_measured(
    tmp_path: Path, figures: dict[str, Any], kernels: dict[str, Any]
) -> None:
    assert list(plots.ratios(figures)) == [
        ("alexnet, batch 32", "eager", 2.5),
        ("alexnet, batch 32", "eager-channels-last", 2.0),
        ("alexnet step, batch 128", "eager-channels-last", 3.0),
    ]
    assert set(plots.shares("alexnet", kernels)) == {
        ("C1.lrn", "batch 1", 0.8),
        ("C2.lrn", "batch 1", 0.8),
    }
    plots.draw(figures, kernels, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"floor-alexnet-made-up-1.svg", "ratios-made-up-1.svg"}
    first = (tmp_path / "ratios-made-up-1.svg").read_bytes()
    assert first.startswith(b"<?xml")
    plots.draw(figures, kernels, tmp_path)
    assert (tmp_path / "ratios-made-up-1.svg").read_bytes() == first

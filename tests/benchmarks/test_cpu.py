"""LRN, accuracy and loading on the CPU: what is kept, and what the page says of it."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import Tensor

from benchmarks import accuracy, loading, lrn
from netspec.timing.timing import Call


@pytest.fixture(scope="module")
def performance() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "performance.py"
    spec = spec_from_file_location("performance_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def kept(folder: Path) -> dict[str, Any]:
    (path,) = folder.iterdir()
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures


def test_lrn_is_timed_on_every_map_of_both_nets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, performance: ModuleType
) -> None:
    monkeypatch.setattr(lrn, "BATCHES", (1,))
    lrn.main(["--rounds", "1"], tmp_path)
    figures = kept(tmp_path)
    sizes = {(case["net"], case["size"]) for case in figures["cases"]}
    assert sizes == {
        ("alexnet", "55x55x96"),
        ("alexnet", "27x27x256"),
        ("googlenet", "56x56x64"),
        ("googlenet", "56x56x192"),
    }
    page = performance.page(lrn=[figures])
    assert all(f"| {case['net']} | {case['stage']} |" in page for case in figures["cases"])
    for case in figures["cases"]:
        best = min(case["torch_ms"], case["torch channels-last_ms"])
        assert case["ratio"] == pytest.approx(best / case["netspec_ms"], rel=1e-2)


def test_a_wrong_normalisation_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, op, shape = next(lrn.layers("alexnet"))

    def wrong(
        implementation: object, problem: object, packed: object, x: list[Tensor], y: Tensor
    ) -> Call:
        return lambda: y.copy_(x[0] * 1.001)

    monkeypatch.setattr(lrn, "bound", wrong)
    with pytest.raises(AssertionError, match="off by"):
        lrn.measured("alexnet", stage, op, shape, 1, 1)


def test_accuracy_is_that_of_the_worst_of_32_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, performance: ModuleType
) -> None:
    monkeypatch.setattr(accuracy, "NETS", ("lenet5",))
    accuracy.main([], tmp_path)
    figures = kept(tmp_path)
    (case,) = figures["cases"]
    assert case["images"] == 32
    assert 0 < case["netspec"] < case["allowed"]
    assert 0 < case["eager"] < case["allowed"]
    page = performance.page(accuracy=[figures])
    assert f"| lenet5 | {case['netspec']:.1e} |" in page
    assert "before" not in page
    earlier = performance.page(accuracy=[figures | {"date": "2026-11-24"}])
    assert "These errors are of the random weights before 2026-11-29" in earlier


@pytest.mark.slow
def test_loading_is_timed_in_processes_of_its_own(tmp_path: Path, performance: ModuleType) -> None:
    loading.main(["--net", "lenet5", "--processes", "1"], tmp_path)
    figures = kept(tmp_path)
    (case,) = figures["cases"]
    assert case["processes"] == 1
    assert case["bytes"] > 60_000 * 4  # LeNet-5 has some 60,000 parameters
    # importing it all and reading a spec is not done in a millisecond
    assert 1 < case["load_ms"] < case["together_ms"] == case["slowest_ms"]
    assert case["together_ms"] == pytest.approx(case["import_ms"] + case["load_ms"], abs=0.11)
    assert f"| lenet5 | {case['bytes'] / 1e6:.3f} |" in performance.page(loading=[figures])

"""Training steps: gradients are held against float64, then whole steps are timed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import floors, steps
from benchmarks.measuring import Bench
from netspec.timing.case import Case
from netspec.timing.timing import WallTimer
from tests.kernels.helpers import DEVICE, ON_GPU, gpu, only_on_gpu
from tests.timing.helpers import case_of

NET = """net tiny
input image 8x8x3
a: conv 3x3, 4 | relu | maxpool 2x2/2
b: fc 6 | relu | dropout 0.5
out: fc 5 | softmax
"""
BENCH = Bench(WallTimer(), DEVICE.type, cache=1, rounds=2)
SIZES = {"elements": 1000, "size": 10}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return case_of(tmp_path, NET, device="cuda")  # or Triton's interpreter in its place


def test_steps_of_engines_that_agree_are_timed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(steps.ENGINES, "compile")
    result = steps.measured(case, BENCH, **SIZES)
    assert list(result["engines"]) == ["netspec", "eager"]
    for entry in result["engines"].values():
        assert "error" not in entry
        assert 0 <= entry["deviation"] <= 1e-5 < entry["allowed"] < 0.1
        assert entry["median_ms"] > 0
    assert result["floor_ms"] > 0


def test_who_differs_or_fails_is_told_and_not_timed(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(case: Case) -> torch.nn.Module:
        model = case.reference().train()
        model.get_parameter("a.bias").register_hook(torch.zeros_like)
        return model

    def failing(case: Case) -> torch.nn.Module:
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setitem(steps.ENGINES, "netspec", wrong)
    monkeypatch.setitem(steps.ENGINES, "compile", failing)
    by_engine = steps.measured(case, BENCH, **SIZES)["engines"]
    assert by_engine["netspec"]["error"] == "disagrees"
    assert by_engine["netspec"]["deviation"] > by_engine["netspec"]["allowed"]
    assert by_engine["compile"] == {"error": "RuntimeError: no such kernel"}
    assert "median_ms" not in by_engine["netspec"]
    assert "median_ms" in by_engine["eager"]


def test_a_step_changes_the_parameters(case: Case) -> None:
    model = case.reference().train()
    before = model.get_parameter("a.weight").detach().clone()
    labels = torch.tensor([1, 2], device=case.torch_device)
    (call,) = steps.steps(model, case, labels)[:1]
    warm = model.get_parameter("a.weight").detach().clone()
    call()
    assert not torch.equal(before, warm)
    assert not torch.equal(warm, model.get_parameter("a.weight"))


def test_a_step_has_no_gradient_of_the_images(case: Case) -> None:
    conv, first, last = 36 * 4 * 27, 36 * 6, 6 * 5
    assert steps.operations(case) == 2 * 2 * (2 * conv + 3 * (first + last))
    parameters = 4 * 28 + 6 * 37 + 5 * 7
    assert steps.moved(case) == 4 * 4 * parameters


def test_rates_are_measured_in_both_types() -> None:
    clock = iter(range(10_000))
    bench = BENCH._replace(timer=WallTimer(clock=lambda: float(next(clock))))
    wanted = {"copy_bytes_per_second": 4000.0, "product_operations_per_second": 2000.0}
    assert floors.rates(bench, **SIZES) == {"bf16": wanted, "fp16": wanted}


@gpu
@only_on_gpu
def test_steps_of_all_engines_are_captured(tmp_path: Path) -> None:
    from benchmarks.timing import GraphTimer

    assert ON_GPU
    bench = Bench(GraphTimer(), "cuda", cache=1, rounds=2)
    result = steps.measured(case_of(tmp_path, NET, dtype="bfloat16", device="cuda"), bench, **SIZES)
    assert all("median_ms" in entry for entry in result["engines"].values()), result

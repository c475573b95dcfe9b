"""The floor: the fewest operations, weights from memory, and no engine below it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.page import is_estimate
from benchmarks.results import FOLDER
from netspec.compiler import backend_of
from netspec.lowering.implementation import Problem, problem_of
from netspec.timing import measure, memory, rates
from netspec.timing.engines import Netspec
from netspec.timing.floor import fewest, floor
from netspec.timing.rates import Rates
from tests.helpers import load_rows
from tests.timing.helpers import Changed, case_of


def problem(row: str, dtype: torch.dtype = torch.float32, size: str = "16x16x32") -> Problem:
    net = load_rows(f"a: {row}\n", f"net stage\ninput image {size}\n")
    return problem_of(net.graph, "a", dtype, 1)


def test_the_floor_is_the_larger_of_operations_and_weights(tmp_path: Path) -> None:
    case = case_of(tmp_path, batch=4)
    operations, weights = 8 * case.net.totals.macs, 4 * case.net.totals.parameters
    bounds = floor(case, Rates(product=1e9, memory=1e9, cache=0))
    # a 3x3 convolution without padding to 6x6: two tiles of 6 products instead of 6 rows of 3
    saved = 8 * (36 * 4 * 27) * (1 - 12 / 18)
    assert bounds["compute_ms"] == pytest.approx((operations - saved) / 1e6)
    assert bounds["weights_ms"] == pytest.approx(weights / 1e6)
    assert bounds["ms"] == max(bounds["compute_ms"], bounds["weights_ms"])
    slow = floor(case, Rates(product=1e12, memory=1e9, cache=weights / 4))
    assert slow["ms"] == slow["weights_ms"] == pytest.approx(weights * 0.75 / 1e6)
    assert slow["cache_mb"] == pytest.approx(weights / 4e6)
    unknown = floor(case, Rates(product=1e12, memory=1e9))
    assert (unknown["weights_ms"], unknown["cache_mb"]) == (0, None)
    half = case_of(tmp_path, batch=4, dtype="bfloat16")
    assert floor(half, Rates(1e9, 1e9, 0))["weights_ms"] == pytest.approx(weights / 2e6)


@pytest.mark.parametrize(
    ("row", "dtype", "share"),
    [
        # four tiles of 6 products instead of 16 rows of 3; 46 of 48 taps of a row on the map
        ("conv 3x3, 32, pad=1", torch.float32, 24 / 48 * 46 / 48),
        ("conv 3x3, 32, pad=1", torch.bfloat16, (46 / 48) ** 2),  # no Winograd in bfloat16
        ("conv 1x1, 32", torch.float32, 1),
        ("conv 3x3/2, 32, pad=1", torch.float32, (23 / 24) ** 2),
        ("conv 3x3, 32, groups=32, pad=1", torch.float32, (46 / 48) ** 2),
        ("fc 10", torch.float32, 1),
    ],
)
def test_the_fewest_operations_of_a_stage(row: str, dtype: torch.dtype, share: float) -> None:
    stage = problem(row, dtype)
    assert fewest(stage, backend_of("cpu")) == pytest.approx(share * stage.operations)


def beaten(case: Mapping[str, Any]) -> list[str]:
    """Return the engines of a result whose median is shorter than its floor: there must be none."""
    if is_estimate(case["floor"]):
        return []
    timed = {entry["name"]: entry["median_ms"] for entry in case["engines"]}
    return [name for name, time in timed.items() if time is not None and time < case["floor"]["ms"]]


def result(ms: float, **floor: Any) -> dict[str, Any]:
    engines = [{"name": "netspec", "median_ms": 2.0}, {"name": "eager", "median_ms": None}]
    return {"floor": {"ms": ms} | floor, "engines": engines}


def test_an_engine_below_its_floor_is_named() -> None:
    assert beaten(result(2.1, cache_mb=None)) == ["netspec"]
    assert beaten(result(1.9, cache_mb=None)) == []
    assert beaten(result(2.1)) == []  # a result with an estimate instead of a floor


def test_no_stored_engine_is_faster_than_its_floor() -> None:
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("nets-*.json")]
    assert stored
    assert [beaten(case) for figures in stored for case in figures["cases"] if beaten(case)] == []


@pytest.mark.parametrize("spec", ["lenet5", pytest.param("narrow", marks=pytest.mark.slow)])
def test_no_engine_is_faster_than_its_floor_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    known = {engine.name: engine for engine in (Netspec(), Changed("right"))}
    monkeypatch.setattr(measure, "engines", lambda: known)
    monkeypatch.setattr(memory, "peak", lambda case, name, threads: 5e6)
    monkeypatch.setattr(rates, "COPIED", 1 << 24)
    if spec == "narrow":
        text = "net narrow\ninput image 28x28x64\na: conv 3x3, 64, pad=1 | relu\nout: gap | fc 5\n"
        spec = case_of(tmp_path, text).spec
    answer = measure.bench(
        [spec], settings={}, batches=[4], dtype="float32", against=["right"], rounds=3
    )
    (case,) = answer["cases"]
    assert case["floor"]["ms"] > 0
    assert beaten(case) == []

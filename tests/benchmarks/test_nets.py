"""Whole nets: the results that are stored, and what the page shows of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks import nets
from netspec import bundled
from netspec.timing import PEERS

MACHINE = {"cpu": "Made-up 1", "threads": 3, "torch": "2"}


def case(spec: str, batch: int, ours: float | None, **peers: float | str) -> dict[str, Any]:
    def entry(name: str, outcome: float | str | None) -> dict[str, Any]:
        is_time = isinstance(outcome, float)
        error = None if is_time else outcome or "not installed: pip install it"
        median = outcome if is_time else None
        times = {"median_ms": median, "spread_ms": [median, median]}
        return {"name": name, "version": "7", "error": error} | times

    engines = [entry("netspec", ours), *(entry(name, peers.get(name)) for name in PEERS)]
    return {
        "spec": spec,
        "batch": batch,
        "dtype": "float32",
        "engines": engines,
        "floor": {"ms": 5.0, "cache_mb": 32.0},
        "best_peer": "inductor",
        "ratio": 1.5,
    }


def kept(folder: Path) -> list[tuple[str, int, float]]:
    (path,) = folder.iterdir()
    assert path.name == "nets-made-up-1-3-threads.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    return [(c["spec"], c["batch"], c["engines"][0]["median_ms"]) for c in record["cases"]]


def test_cases_are_kept_one_by_one_and_replaced_when_run_again(tmp_path: Path) -> None:
    for entry in (case("alexnet", 1, 9.0), case("alexnet", 8, 8.0), case("alexnet", 1, 7.0)):
        nets.keep({"machine": MACHINE, "cases": [entry]}, tmp_path)
    assert kept(tmp_path) == [("alexnet", 1, 7.0), ("alexnet", 8, 8.0)]
    newer = MACHINE | {"torch": "3"}
    nets.keep({"machine": newer, "cases": [case("googlenet", 1, 6.0)]}, tmp_path)
    assert kept(tmp_path) == [("googlenet", 1, 6.0)]


def test_a_case_keeps_the_ratio_that_it_replaces_and_when_it_was_measured(
    tmp_path: Path, performance: Any
) -> None:
    for ratio in (1.25, 1.5):
        entry = case("alexnet", 1, 10.0, inductor=15.0) | {"ratio": ratio}
        entry["engines"][0]["peak_mb"], entry["engines"][1]["peak_mb"] = 260.2, 1261.0
        nets.keep({"machine": MACHINE, "cases": [entry]}, tmp_path)
    path = nets.nets_path(MACHINE, tmp_path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    (last,) = stored["cases"]
    assert last["earlier"]["ratio"] == 1.25
    then = datetime.fromisoformat(last["measured_at"])
    assert abs(datetime.now(UTC) - then) < timedelta(minutes=5)
    last["earlier"]["measured_at"] = (then - timedelta(minutes=72)).isoformat()
    page = "\n".join(performance.whole_nets([stored]))
    assert "| 1.50× | 1.25× (1.2 h) | 260 (1,261) |" in page


def test_each_number_of_threads_has_a_file(tmp_path: Path) -> None:
    for threads in (1, 2):
        machine = MACHINE | {"threads": threads}
        nets.keep({"machine": machine, "cases": [case("alexnet", 1, 1.0)]}, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"nets-made-up-1-1-thread.json", "nets-made-up-1-2-threads.json"}


def test_it_runs_every_case_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import netspec.timing.measure
    import netspec.views.bench

    def measured(
        specs: list[str], *, batches: list[int], dtype: str, **asked: Any
    ) -> dict[str, Any]:
        assert asked["rounds"] == 4
        assert asked["against"] == (PEERS if dtype == "float32" else ("eager", "openvino"))
        entry = case(specs[0], batches[0], 1.0) | {"dtype": dtype}
        return {"machine": MACHINE, "cases": [entry]}

    monkeypatch.setattr(netspec.timing.measure, "bench", measured)
    monkeypatch.setattr(netspec.views.bench, "as_lines", lambda answer, style: ["done"])
    nets.main(["--rounds", "4"], tmp_path)
    every = [(net, batch) for net in nets.NETS for batch in (1, 8)]
    assert [(spec, batch) for spec, batch, _ in kept(tmp_path)] == 2 * every
    assert {"resnet50", "resnet18", "mobilenet_v1", "densenet121", "squeezenet1_1"} < {*nets.NETS}
    assert {*nets.NETS} <= {*bundled()}


def test_a_cell_of_the_page_has_a_time_or_says_why_not(performance: Any) -> None:
    entry = case("alexnet", 8, 10.0, inductor=15.0, eager="disagrees: by much", openvino="Bug: x")
    figures = {"machine": MACHINE, "date": "2000-01-01", "cases": [entry]}
    page = "\n".join(performance.whole_nets([figures]))
    assert "Made-up 1, measured on 2000-01-01: threads 3, torch 2, netspec 7, onnxruntime 7" in page
    times = "10.0 (10.0 to 10.0) | disagrees | – | 15.0 (15.0 to 15.0) | – | failed | 5.00"
    assert f"| alexnet | float32 | 8 | {times} | 1.50× | – | – |" in page
    assert "A missing floor" not in page


def test_a_floor_that_was_an_estimate_is_not_shown(performance: Any) -> None:
    entry = case("alexnet", 8, 10.0, inductor=15.0) | {"floor": {"ms": 5.0}}
    entry["engines"] = entry["engines"][:2]  # in bfloat16 there are fewer peers
    entry |= {"dtype": "bfloat16", "best_peer": "eager", "ratio": None}
    figures = {"machine": MACHINE, "date": "2000-01-01", "cases": [entry]}
    page = "\n".join(performance.whole_nets([figures]))
    times = "10.0 (10.0 to 10.0) | – | – | – | – | – | –"
    assert f"| alexnet | bfloat16 | 8 | {times} | – | – | – |" in page
    assert "A missing floor (–) was not measured again" in page

"""docs/performance.md says what the results say, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.layers import FORWARD, INPUT_GRADIENT, NETS, LayerCase, cases

DOCS = Path(__file__).parents[2] / "docs"


def layer_cases(kind: str, direction: str, batch: int) -> list[LayerCase]:
    every = cases(NETS, [batch], [kind], "bf16")
    return [case for case in every if case.direction == direction]


def entry(floor: float, **medians: float) -> dict[str, Any]:
    engines = {
        name: {"median_us": median, "is_reproducible": True} for name, median in medians.items()
    }
    return {"floor_us": floor, "engines": engines}


@pytest.fixture
def figures(performance: ModuleType, tmp_path: Path) -> dict[str, Any]:
    """A made-up machine: two of its LRN, one of its max-pools and one convolution were run."""
    first, second, *_ = layer_cases("lrn", FORWARD, 32)
    pool = layer_cases("maxpool", INPUT_GRADIENT, 1)[0]
    conv = layer_cases("conv", FORWARD, 256)[0]
    record = {
        "machine": {"gpu": "Made-up 1", "driver": "7"},
        "date": "2000-01-01",
        "constants": {
            "bf16": {"copy_bytes_per_second": 1e12, "product_operations_per_second": 1e14}
        },
        "tuned": {},
        "cases": {
            first.key: entry(9.0, netspec=10.0, eager=80.0),
            second.key: entry(4.0, netspec=10.0, eager=20.0),
            pool.key: entry(1.0, netspec=2.0),
            conv.key: {
                "floor_us": 5.0,
                "engines": {
                    "netspec": {"disagrees": "off by 1"},
                    "bare": {"median_us": 1234.56},
                    "compile": {"error": "none"},
                },
            },
        },
    }
    (tmp_path / "kernels-made-up-1.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "checking.json").write_text("{}")
    (loaded,) = performance.load(tmp_path)
    return loaded


def test_the_page_is_current(performance: ModuleType) -> None:
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert page == performance.current()


def test_without_results_nothing_is_measured(performance: ModuleType) -> None:
    page = performance.page([])
    for goal in performance.GOALS:
        assert f"| {goal.text} | not measured | not measured | not measured |" in page
    for net in NETS:
        for line in performance.rows_of(net, {"cases": {}}, performance.planned("bf16")):
            assert {*line[6:]} <= {"not measured", ""}
    assert "No results in bf16 yet" in page
    assert "4.30 TB/s copied and 790 TFLOP/s" in page


def test_goals_are_means_over_what_was_measured(
    performance: ModuleType, figures: dict[str, Any]
) -> None:
    page = performance.page([figures])
    # sqrt(0.9 * 0.4) and sqrt(8 * 2); AlexNet and GoogLeNet have two LRN each
    share = "| LRN forward ≥ 88 % of copy bandwidth, at 4 bytes an element | not measured | "
    assert share + "60%, slowest 40%, 2 of 4 | not measured |" in page
    assert "| LRN forward ≥ 9× eager | not measured | 4.00×, slowest 2.00×, 2 of 4 |" in page
    pools = len(layer_cases("maxpool", INPUT_GRADIENT, 1))
    assert f"| max-pool backward ≥ 80 % | 50%, slowest 50%, 1 of {pools} | not measured |" in page
    assert f"| max-pool backward bitwise reproducible | 1, of 1 of {pools} measured | not" in page
    assert "| max-pool backward ≥ 3× eager | not measured | not measured | not measured |" in page
    assert "none below 0.98× | not measured | not measured | not measured |" in page


def test_layers_show_medians_or_why_there_are_none(
    performance: ModuleType, figures: dict[str, Any]
) -> None:
    machine = performance.machine_of(figures)
    (line,) = (
        row
        for row in performance.rows_of("alexnet", figures, machine)
        if row[1:3] == ["C1", FORWARD]
    )
    nothing = "not measured"
    assert line[6:] == [
        f"{nothing} / {nothing} / disagrees",
        f"{nothing} / {nothing} / 1,235",
        nothing,
        f"{nothing} / {nothing} / failed",
    ]
    # floors are that machine's own: 2 x 256 x 55 x 55 x 96 x 363 operations at 1e14 a second
    assert line[5].split(" / ")[2] == f"{2 * 256 * 55 * 55 * 96 * 363 / 1e14 * 1e6:.0f}"
    page = performance.page([figures])
    assert "## Made-up 1" in page
    assert "Measured on 2000-01-01: gpu Made-up 1, driver 7." in page


def test_first_layers_are_a_goal_of_their_own(performance: ModuleType) -> None:
    (goal,) = (goal for goal in performance.GOALS if goal.first_only)
    convs = layer_cases("conv", FORWARD, 32)
    times = {case.key: entry(1.0, netspec=1.0, bare=3.0) for case in convs}
    assert performance.reached(goal, {"cases": times}, 32) == "3.00×, slowest 3.00×, 3 of 3"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234.56, "1,235"),
        (100, "100"),
        (99.96, "100"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.0123, "0.0123"),
        (0.0001, "<0.001"),
    ],
)
def test_numbers_have_three_digits_that_count(
    performance: ModuleType, value: float, shown: str
) -> None:
    assert performance.number(value) == shown

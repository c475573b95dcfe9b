"""docs/performance.md and its plots show the stored results, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import plots
from benchmarks.layers import FORWARD, INPUT_GRADIENT, NETS, LayerCase, cases
from netspec.timing import PEERS

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
    """A made-up machine on which two LRN, one max-pool and one convolution were measured."""
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
    (loaded,) = performance.load(tmp_path, kind="kernels")
    return loaded


def test_the_page_is_current(performance: ModuleType) -> None:
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert page == performance.current()
    shown = re.findall(r"\((images/[\w-]+\.svg)\)", page)
    assert shown
    assert all((DOCS / path).is_file() for path in shown)


def test_the_plots_are_current(performance: ModuleType) -> None:
    for figures in performance.load(kind="nets"):
        path = DOCS / "images" / plots.name_of(figures)
        drawn = plots.of_cpu(figures)
        # The points, not the bytes: those depend on the version of matplotlib.
        assert points(path.read_bytes()) == points(drawn)
        engines = [entry for case in figures["cases"] for entry in case["engines"]]
        peers = [e for e in engines if e["name"] in PEERS and e["error"] is None]
        assert len(points(drawn)) > len(peers)
        assert drawn == plots.of_cpu(figures)


def points(svg: bytes) -> list[tuple[str, ...]]:
    """Return the place of each marker and tick in an SVG of matplotlib."""
    return re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)"', svg.decode())


def test_a_result_that_was_not_measured_takes_no_room(performance: ModuleType) -> None:
    page = performance.page()
    assert page.startswith("# Performance\n\nNot measured: GPU kernels")
    assert "|" not in page
    assert all(f"## {title}" not in page for title in ("Whole nets", "LRN", "Loading", "Layers"))


def test_it_opens_with_what_was_measured(performance: ModuleType) -> None:
    def engine(name: str, low: float, median: float, high: float) -> dict[str, Any]:
        times = {"median_ms": median, "spread_ms": [low, high]}
        return {"name": name, "version": "7", "error": None} | times

    def case(ours: tuple[float, float, float], ratio: float) -> dict[str, Any]:
        engines = [engine("netspec", *ours), *(engine(name, 9.0, 10.0, 11.0) for name in PEERS)]
        of_case = {"spec": "alexnet", "batch": 1, "engines": engines, "floor": {"ms": 1.0}}
        of_case |= {"dtype": "float32"}
        return of_case | {"best_peer": "openvino", "ratio": ratio}

    cases = [case((1.0, 2.5, 3.0), 4.0), case((8.0, 10.0, 12.0), 1.0)]
    machine = {"cpu": "Made-up 1", "threads": 3}
    page = performance.page(nets=[{"machine": machine, "date": "2000-01-01", "cases": cases}])
    first, plot, *_ = page.split("\n\n")[1:]
    # sqrt(4 x 1); only the first case has quartiles apart from 9 to 11
    assert "at 1.00 to 4.00 times the speed" in first
    assert "(geometric mean 2.00, 2 cases, float32, 2000-01-01)" in first
    assert "In 1 of the 2 cases" in first
    assert plot.endswith("](images/nets-made-up-1-3-threads.svg)")
    assert page.count("| 4.00× |") == 1
    assert page.count("| 1.00× (overlap) |") == 1


def test_goals_are_means_over_what_was_measured(
    performance: ModuleType, figures: dict[str, Any]
) -> None:
    page = performance.page(kernels=[figures])
    # sqrt(0.9 * 0.4) and sqrt(8 * 2); AlexNet and GoogLeNet have two LRN each
    share = "| LRN forward ≥ 88 % of copy bandwidth, at 4 bytes per element | – | "
    assert share + "60%, slowest 40%, 2 of 4 | – |" in page
    assert "| LRN forward ≥ 9× eager | – | 4.00×, slowest 2.00×, 2 of 4 |" in page
    pools = len(layer_cases("maxpool", INPUT_GRADIENT, 1))
    assert f"| max-pool backward ≥ 80 % | 50%, slowest 50%, 1 of {pools} | – |" in page
    assert (
        f"| max-pool backward bitwise reproducible | 1, of 1 of {pools} measured | – | – |" in page
    )
    assert "| max-pool backward ≥ 3× eager |" not in page  # no batch was measured
    assert "none below 0.98× |" not in page


def test_layers_show_medians_or_why_there_are_none(
    performance: ModuleType, figures: dict[str, Any]
) -> None:
    machine = performance.machine_of(figures)
    (line,) = (
        row
        for row in performance.rows_of("alexnet", figures, machine)
        if row[1:3] == ["C1", FORWARD]
    )
    nothing = "–"
    assert line[6:] == [
        f"{nothing} / {nothing} / disagrees",
        f"{nothing} / {nothing} / 1,235",
        nothing,
        f"{nothing} / {nothing} / failed",
    ]
    # floors are that machine's own: 2 x 256 x 55 x 55 x 96 x 363 operations at 1e14 a second
    assert line[5].split(" / ")[2] == f"{2 * 256 * 55 * 55 * 96 * 363 / 1e14 * 1e6:.0f}"
    page = performance.page(kernels=[figures])
    assert "### Made-up 1: AlexNet\n" in page
    assert "### Made-up 1: VGG16\n" not in page  # none of its layers was measured
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

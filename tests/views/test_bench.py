"""What ``netspec bench`` prints and draws."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from netspec.errors import DataError
from netspec.timing.bench import bench_layers
from netspec.views import bench_chart
from netspec.views.bench import as_lines, digits, others, times
from netspec.views.bench_chart import rendered


def entry(name: str, median: float | None, error: str | None = None) -> dict[str, Any]:
    spread = None if median is None else [0.9 * median, 1.2 * median]
    return {
        "name": name,
        "version": "2.13.0+cpu",
        "median_ms": median,
        "spread_ms": spread,
        "cpu_ms": None if median is None else 2 * median,
        "compile_s": 23.4,
        "peak_mb": 101.3,
        "error": error,
        "peak_error": None,
    }


ANSWER = {
    "machine": {"cpu": "Made-up 1", "threads": 2, "instructions": "AVX512"},
    "floor": {"dtype": "float32", "gflop_per_s": 170.0, "copy_gb_per_s": 20.0},
    "cases": [
        {
            "name": "googlenet",
            "batch": 8,
            "dtype": "float32",
            "rounds": 15,
            "others": 0.01,
            "floor": {
                "gflop": 25.3,
                "weights_mb": 28.0,
                "gflop_per_s": 170.0,
                "copy_gb_per_s": 20.0,
                "compute_ms": 148.8,
                "weights_ms": 1.4,
                "ms": 148.8,
            },
            "engines": [
                entry("netspec", 200.0),
                entry("eager", None, "disagrees: relative error 1.0e-01, 2.5e-05 allowed"),
                entry("eager-channels-last", 1532.0),
                entry("inductor", 250.0),
                entry("openvino", None, "not installed: pip install openvino"),
            ],
            "best_peer": "inductor",
            "ratio": 1.25,
            "ratio_error": None,
        }
    ],
}


def shown(answer: dict[str, Any]) -> list[str]:
    return list(as_lines(answer, lambda text, role: f"<{role}>{text}</>"))


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"<[a-z]*>|</>", "", line) for line in lines]


def changed(**values: Any) -> dict[str, Any]:
    answer = copy.deepcopy(ANSWER)
    answer["cases"][0] |= values  # type: ignore[index]
    return answer


def test_engines_stand_by_time_with_their_ratio_to_netspec() -> None:
    lines = plain(shown(ANSWER))
    rows = [line.split() for line in lines]
    order = [row[0] for row in rows if "2.13.0+cpu" in row]
    assert order == ["netspec", "inductor", "eager-channels-last"]
    by_name = {row[0]: row[2:] for row in rows if "2.13.0+cpu" in row}
    assert by_name["inductor"] == ["250", "225", "to", "300", "500", "1.25×", "23.4", "101"]
    assert by_name["netspec"] == ["200", "180", "to", "240", "400", "23.4", "101"]
    assert lines[-1] == "netspec is 1.25× as fast as the best peer, inductor"


def test_ratios_are_strong_and_lines_fit() -> None:
    lines = shown(ANSWER)
    assert "<strong>1.25×</>" in lines[-1]
    (inductor,) = [line for line in lines if line.startswith("inductor")]
    assert "<strong>  1.25×</>" in inductor
    assert max(map(len, plain(lines))) <= 100
    assert len(lines) < 24


def test_the_floor_says_what_it_is_of() -> None:
    (line,) = [line for line in plain(shown(ANSWER)) if line.startswith("floor")]
    assert line.startswith("floor: 25.3 GFLOP at 170 GFLOP/s ")
    assert line.split()[-2:] == ["149", "0.74×"]
    floor = ANSWER["cases"][0]["floor"] | {"weights_ms": 150.0, "ms": 150.0}  # type: ignore[index]
    (line,) = [x for x in plain(shown(changed(floor=floor))) if x.startswith("floor")]
    assert line.startswith("floor: 28.0 MB weights at 20.0 GB/s ")


def test_who_is_not_ranked_is_named_with_the_reason() -> None:
    lines = shown(ANSWER)
    assert "<error>openvino</>: not installed: pip install openvino" in lines
    assert any(line.startswith("<error>eager</>: disagrees") for line in lines)
    alone = changed(best_peer=None, ratio=None, ratio_error="no peer was timed")
    assert plain(shown(alone))[-1] == "no ratio: no peer was timed"
    ours = changed(ratio=None, ratio_error="netspec was not timed")
    ours["cases"][0]["engines"][0] = entry("netspec", None, "disagrees")
    assert plain(shown(ours))[-1] == "no ratio: netspec was not timed"


def test_no_ratio_is_printed_when_times_are_not_compared() -> None:
    reason = "other processes used 72% of the processors (at most 5%)"
    lines = plain(shown(changed(ratio=None, ratio_error=reason)))
    assert lines[-3] == f"no ratio: {reason}"
    assert "OMP_NUM_THREADS=1 netspec bench" in lines[-1]
    assert not any("×" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_steps_of_a_busy_machine_are_doubted() -> None:
    said = "other processes used 72% of the processors"
    assert any(said in line for line in others(0.72, lambda text, role: text))
    assert not list(others(0.05, lambda text, role: text))
    assert not list(others(None, lambda text, role: text))


@pytest.mark.parametrize(
    ("value", "text"), [(1532.4, "1,532"), (73.25, "73.2"), (2.284, "2.28"), (0.0671, "0.067")]
)
def test_three_digits_count(value: float, text: str) -> None:
    assert digits(value) == text


def test_small_ratios_keep_their_digits() -> None:
    assert (times(1.249), times(0.00042)) == ("1.25×", "0.0004×")


def test_the_chart_has_a_panel_a_case_and_says_what_it_shows() -> None:
    answer = json.loads(json.dumps(ANSWER))
    answer["cases"].append(changed(name="alexnet", batch=1)["cases"][0])
    picture = rendered(answer, "svg").decode()
    texts = re.findall(r"<!-- (.*?) -->", picture)
    title = "googlenet, batch 8, float32"
    for wanted in ("milliseconds per batch", title, "floor 149", "inductor"):
        assert wanted in texts, wanted
    assert texts.count("milliseconds per batch") == 2
    assert "openvino" not in texts
    assert rendered(answer, "png").startswith(b"\x89PNG")


def test_without_matplotlib_the_chart_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_chart, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'netspec-compiler\[plot\]'"):
        rendered(ANSWER, "png")


def test_times_of_layers_have_no_chart() -> None:
    result = bench_layers("lenet5", rounds=1)
    with pytest.raises(ValueError, match="times of layers have no chart"):
        result.chart()

"""What ``netspec trace`` prints, with times that were not measured but given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import netspec
from netspec.lowering.choices import Choice
from netspec.timing.layers import Profile
from netspec.timing.rates import Rates
from netspec.timing.timing import Timing
from netspec.tracing.data import as_data
from netspec.tracing.text import WIDTH, aligned, lines
from netspec.tracing.trace import BufferSlice, Trace
from tests.helpers import load_rows

pytestmark = pytest.mark.usefixtures("not_intel")
GOLDEN = Path(__file__).parent / "golden" / "trace.txt"
ROWS = """
a: concat {
    conv 3x3, 2, pad=1
    conv 1x1, 4
    conv 1x1, 2
} | relu | lrn 3
c: maxpool 2x2/2
out: fc 5 | dropout 0.5 | softmax
head extra from a, weight=0.5: gap | fc 5
"""


def plain(text: str, role: str) -> str:
    return text


@pytest.fixture(autouse=True)
def fixed_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step takes a millisecond more than the one before it."""

    def profiled(model: netspec.Compiled, *_: object) -> Profile:
        count = len(model.lowered.plan.steps)
        times = (Timing(i * 1e-3, i * 9e-4, i * 2e-3, 3, i * 9e-4) for i in range(1, count + 1))
        return Profile(tuple(times), (0,) * count, Rates(1e9, 2e6, 0), 0.5)

    monkeypatch.setattr("netspec.tracing.tracing.profiled", profiled)


def traced(row: str, rows: str = ROWS) -> Trace:
    return netspec.trace(load_rows(rows), row, rounds=3)


def test_the_whole_text() -> None:
    told = [list(lines(traced(row), plain)) for row in ("a", "out", "extra")]
    text = "\n\n\n".join("\n".join(one) for one in told) + "\n"
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_lines_fit() -> None:
    long = "a_row_whose_label_is_rather_long_for_a_table: concat { " + "; ".join(
        ["conv 1x1, 4 | relu"] * 9
    )
    rows = f"{long} }}\nout: fc 5 | softmax\n"
    told = list(lines(traced("a_row_whose_label_is_rather_long_for_a_table", rows), plain))
    assert max(map(len, told)) <= WIDTH
    assert "…" in "".join(told)


def test_names_lose_their_beginnings_only_where_a_table_is_too_wide() -> None:
    narrow = [("name", "ms"), ("a" * 60 + "end", "1"), ("b", "22")]
    assert list(aligned(narrow, left=1))[1:] == ["a" * 60 + "end" + "   1", "b" + " " * 64 + "22"]
    wide = [("name", "x" * 60), ("a" * 60 + "end", "1")]
    assert [len(line) for line in aligned(wide, left=1)] == [WIDTH, WIDTH]
    assert list(aligned(wide, left=1))[1].startswith("…aaa")


def with_step(trace: Trace, **changes: object) -> list[str]:
    step = replace(trace.steps[0], **changes)  # type: ignore[arg-type]
    return list(lines(replace(trace, steps=(step, *trace.steps[1:])), plain))


def test_candidates_have_their_times_if_they_were_measured() -> None:
    choice = Choice("tiles", {"tiles": 1e-3, "torch": 2e-3}, "measured")
    told = with_step(traced("c"), choice=choice)
    assert "    by tiles, measured: tiles 1.00 ms, torch 2.00 ms" in told
    told = with_step(traced("c"), choice=Choice("torch", {"tiles": None, "torch": None}))
    assert "    by torch, preferred to tiles; not measured" in told
    told = with_step(traced("c"), choice=Choice("torch", {"torch": None}))
    assert "    by torch, the only implementation" in told
    failures = {"cudnn": "RuntimeError: no engine"}
    times = {"tiles": 1e-3, "cudnn": None}
    told = with_step(traced("c"), choice=Choice("tiles", times, "measured", failures))
    assert "by tiles, measured: tiles 1.00 ms; cudnn failed: RuntimeError: no engine" in " ".join(
        line.strip() for line in told
    )
    told = with_step(traced("c"), choice=Choice("tiles", dict.fromkeys(times), failures=failures))
    assert "not measured; cudnn failed: RuntimeError: no engine" in " ".join(map(str.strip, told))


def test_slices_say_of_what_and_outputs_are_kept() -> None:
    trace = traced("c")
    shape = trace.steps[0].places[0].shape
    part = BufferSlice("c.maxpool", shape, 7, 4, "z.concat", 128, 5)
    assert (
        f"    writes {shape} as channels 4 to 11 of z.concat to buffer 7, planned at element 128 "
        "of the arena,"
    ) in with_step(trace, places=(part,))
    apart = with_step(trace, places=(part, replace(part, stage="d", whole="", last=None)))
    assert any(line.startswith(f"    writes d, {shape}, to buffer 7") for line in apart)
    assert any("kept as an output" in line for line in apart)


def test_data_has_what_the_text_has() -> None:
    data = json.loads(json.dumps(as_data(traced("a"))))
    assert data["floor"] == {"gflop_per_s": 1.0, "copy_gb_per_s": 0.002}
    assert [stage["steps"] for stage in data["stages"] if stage["op"] == "lrn"] == [[5]]
    assert {step["row"] for step in data["steps"]} == {"a", "c"}
    own = [step for step in data["steps"] if step["is_own"]]
    assert data["total"]["median_ms"] == pytest.approx(sum(step["median_ms"] for step in own))
    assert data["net"] == {"steps": 8, "median_ms": pytest.approx(36.0)}
    (refusal,) = data["refusals"]
    assert refusal["stages"] == [["a.concat", "a.relu"]]


def test_data_of_what_does_not_run_has_no_figures() -> None:
    data = as_data(traced("extra"))
    assert (data["floor"], data["steps"], data["net"], data["others"]) == (None, [], None, None)
    assert data["rewrites"][0]["made"] == [{"stages": ["extra"], "results": []}]

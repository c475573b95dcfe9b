"""A case: who agrees is timed in turns and ranked, who does not is reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from netspec.errors import DataError
from netspec.timing import engines as engine_module
from netspec.timing import machine, measure, memory, rates
from netspec.timing.case import Case
from netspec.timing.engine import Engine
from netspec.timing.engines import Netspec
from netspec.timing.measure import Entry, Turn, bench, compared, measured, steps, until_quiet
from netspec.timing.timing import Timing, WallTimer
from netspec.views.bench import case_lines
from tests.timing.helpers import Changed, Vandal, case_of, change_settings, settings

KEYS = {"cpu_ms", "name", "version", "median_ms", "spread_ms", "compile_s", "peak_mb", "error"}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 1 << 16)
    monkeypatch.setattr(measure, "SAMPLE", 1e-4)


def use(monkeypatch: pytest.MonkeyPatch, *peers: Engine) -> None:
    """Put these in the place of the peers, and spare the processes that measure memory."""
    monkeypatch.setattr(measure, "engines", lambda: {e.name: e for e in (Netspec(), *peers)})
    monkeypatch.setattr(memory, "peak", lambda case, name, threads: 5e6)


def by_name(case: Entry) -> dict[str, Entry]:
    return {entry["name"]: entry for entry in case["engines"]}


def test_an_engine_that_is_wrong_is_reported_and_not_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Changed("right"), Changed("wrong", lambda y: y.flip(1)))
    monkeypatch.setattr(machine.Others, "share", lambda self: 0.01)
    case = measured(case_of(tmp_path), ["right", "wrong"], 2)
    entries = by_name(case)
    assert entries["wrong"]["error"].startswith("disagrees: relative error ")
    assert entries["wrong"]["deviation"] > entries["wrong"]["allowed"]
    assert entries["wrong"]["median_ms"] is entries["wrong"]["peak_mb"] is None
    assert case["best_peer"] == "right"
    assert case["ratio"] is None
    assert case["ratio_error"] == "4 rounds or more are needed, and there were 2"
    assert entries["right"]["cpu_ms"] > 0
    assert entries["right"]["peak_mb"] == 5.0
    low, high = entries["right"]["spread_ms"]
    assert 0 < low <= entries["right"]["median_ms"] <= high


def test_without_a_comparison_nobody_is_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Changed("right"))
    single = "net single\ninput image 4x4x1\nout: fc 1 | softmax\n"  # 1 whatever the weights are
    case = measured(case_of(tmp_path, single), ["right"], 1)
    said = "not compared: uniform outputs would be off by 0.0e+00, and "
    for entry in case["engines"]:
        assert set(entry) >= KEYS
        assert entry["error"].startswith(said)
        assert entry["median_ms"] is entry["compile_s"] is entry["peak_mb"] is None
    assert [case["best_peer"], case["ratio"]] == [None, None]
    *_, told, verdict = case_lines(case, lambda text, role: f"<{role}>{text}")
    assert told == f"<error>right: {case['engines'][1]['error']}"  # whole, colours and all
    assert verdict == "<note>no ratio: no peer was timed"


def test_failures_are_entries_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing(Changed):
        def prepare(self, case: object) -> None:
            raise DataError("not installed: pip install missing")

    class Broken(Changed):
        def compile(self, case: object) -> measure.Call:
            raise NotImplementedError("no kernel for this\nand a long story")

    use(monkeypatch, Missing("missing"), Broken("broken"), Changed("right"))
    case = measured(case_of(tmp_path), ["missing", "broken", "right"], 1)
    entries = by_name(case)
    assert list(entries) == ["netspec", "missing", "broken", "right"]
    assert entries["missing"]["error"] == "not installed: pip install missing"
    assert entries["broken"]["error"] == "NotImplementedError: no kernel for this"
    assert case["best_peer"] == "right"


def test_what_ran_before_an_engine_does_not_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    class Watching(Changed):
        def compile(self, case: Case) -> measure.Call:
            seen.append(settings())
            call = super().compile(case)

            def watched() -> object:
                seen.append(settings())
                return call()

            return watched

    use(monkeypatch, Vandal("vandal"), Watching("watching"))
    before = settings()
    case = measured(case_of(tmp_path), ["vandal", "watching"], 2)
    assert [entry["error"] for entry in case["engines"]] == [None] * 3
    assert len(seen) > 4
    assert {*seen} == {before}
    assert settings() == before


def test_on_a_gpu_every_engine_gets_cudnn_with_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an engine that turned it off, too; flags of cuDNN exist without a GPU."""
    device, flags = torch.device("cuda"), torch.backends.cudnn
    before = flags.benchmark
    for _ in range(2):
        with machine.alike(device):
            assert (flags.benchmark, flags.allow_tf32) == (True, False)
            change_settings()
    assert flags.benchmark == before
    assert settings()[1] == torch.float32


def test_settings_are_undone_without_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's function imports all of Inductor: seconds in each process whose memory is measured.
    The mode that only warns stays one that only warns."""

    def importing(*how: object, **options: object) -> None:
        raise AssertionError("imports Inductor")

    torch.set_deterministic_debug_mode("warn")
    try:
        monkeypatch.setattr(torch, "use_deterministic_algorithms", importing)
        with machine.alike(machine.HOST):
            torch.set_deterministic_debug_mode("error")
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.set_deterministic_debug_mode("default")


def test_a_wrong_engine_is_replaced_by_its_alternative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tuned(Changed):
        def alternative(self, case: Case) -> Engine:
            right = Changed("tuned")
            right.note = "with other convolutions, because those that tuning chose are wrong"
            return right

    use(monkeypatch, Tuned("tuned", lambda y: y.flip(1)), Changed("wrong", lambda y: 0 * y))
    case = measured(case_of(tmp_path), ["tuned", "wrong"], 1)
    tuned = by_name(case)["tuned"]
    assert tuned["error"] is None
    assert tuned["deviation"] <= tuned["allowed"]
    assert case["best_peer"] == "tuned"
    said = "with other convolutions, because those that tuning chose are wrong (relative error "
    assert tuned["note"].startswith(said)
    told = list(case_lines(case, lambda text, role: text))
    assert f"tuned: {tuned['note']}" in told
    *_, verdict = case_lines(case | {"ratio": 1.5}, lambda text, role: text)
    assert verdict.endswith("; an engine whose outputs are wrong may be faster: wrong")


def test_candidates_that_failed_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower = engine_module.lowered

    def with_failures(*arguments: Any, **options: Any) -> Any:
        made = lower(*arguments, **options)
        failures = {"cudnn": "RuntimeError: no engine"}
        choices = {k: replace(choice, failures=failures) for k, choice in made.choices.items()}
        return replace(made, choices=choices)

    monkeypatch.setattr(engine_module, "lowered", with_failures)
    use(monkeypatch)
    (entry,) = measured(case_of(tmp_path), [], 1)["engines"]
    assert entry["note"] == (
        "not used, because they failed when they were measured: cudnn (RuntimeError: no engine)"
    )


def test_memory_that_cannot_be_measured_is_no_error_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> float:
        raise DataError("memory is measured on Linux only")

    use(monkeypatch, Changed("right"))
    monkeypatch.setattr(memory, "peak", unknown)
    entry = by_name(measured(case_of(tmp_path), ["right"], 1))["right"]
    assert entry["peak_mb"] is entry["error"] is None
    assert entry["peak_error"] == "memory is measured on Linux only"


def test_the_answer_has_the_shape_that_programs_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Changed("right"))
    path = case_of(tmp_path).spec
    told: list[str] = []
    answer = bench(
        [path],
        settings={},
        batches=[1, 3],
        dtype="bfloat16",
        against=["right"],
        rounds=2,
        advance=told.append,
    )
    assert set(answer) == {"machine", "floor", "cases"}
    assert [case["batch"] for case in answer["cases"]] == [1, 3]
    for case in answer["cases"]:
        assert {"spec", "batch", "dtype", "engines", "best_peer", "ratio"} <= set(case)
        assert (case["spec"], case["dtype"]) == (path, "bfloat16")
        assert all(set(entry) >= KEYS for entry in case["engines"])
    assert len(told) == steps(1, 2, 1, 2)
    assert told[0] == "tiny, batch 1: netspec compiles"
    assert told[-1] == "tiny, batch 3: memory of right"


def test_real_peers_on_lenet(tmp_path: Path) -> None:
    answer = bench(
        ["lenet5"],
        settings={},
        batches=[1],
        dtype="float32",
        against=["openvino"],
        rounds=1,
    )
    (case,) = answer["cases"]
    for entry in case["engines"]:
        assert entry["error"] is None
        assert entry["median_ms"] > 0
        assert entry["compile_s"] > 0
        assert entry["peak_mb"] > 0.2  # weights alone are
    assert case["best_peer"] == "openvino"


def test_a_turn_begins_without_a_clock_and_makes_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    now, count = [0.0], [0]
    monkeypatch.setattr(measure, "SAMPLE", 1.0)

    def call() -> None:
        now[0] += 0.3
        count[0] += 1

    run = Turn(call, WallTimer(lambda: now[0]))
    before = count[0]
    run()
    assert count[0] - before == 1 + 4


def samples(median: float, width: float = 0.0) -> Timing:
    return Timing(median, median, median + width, 15, median)


class Machine:
    """A machine on which each measurement has the next share of others and the next timings."""

    def __init__(self, *seen: tuple[float, dict[str, Timing]]) -> None:
        self.seen, self.count = seen, 0

    def interleaved(self, passes: Any, rounds: int, warm: int) -> dict[str, Timing]:
        for name in (*passes, *passes):
            passes[name]()
        self.count += 1
        return self.seen[min(self.count, len(self.seen)) - 1][1]

    def share(self, others: object = None) -> float:
        return self.seen[min(self.count, len(self.seen)) - 1][0]


BUSY = (0.3, {"netspec": samples(2.0), "a": samples(3.0), "b": samples(4.0)})
WIDE = (0.0, {"netspec": samples(2.0), "a": samples(3.0, 1.0), "b": samples(4.0)})
QUIET = (0.0, {"netspec": samples(2.0), "a": samples(3.0), "b": samples(4.0, 3.0)})


@pytest.mark.parametrize(
    ("seen", "rounds", "number", "reason"),
    [
        ([QUIET], 15, 1, None),  # the quartiles of b do not matter: a is the best peer
        ([BUSY, WIDE, QUIET], 15, 3, None),
        ([BUSY], 15, 4, "other processes used 30% of the processors (at most 5%)"),
        ([WIDE], 15, 4, "the quartiles of a differ by 33% of its median (at most 5%)"),
        ([BUSY], 3, 1, "other processes used 30% of the processors (at most 5%)"),
    ],
)
def test_a_measurement_is_repeated_until_nothing_disturbs(
    monkeypatch: pytest.MonkeyPatch,
    seen: list[tuple[float, dict[str, Timing]]],
    rounds: int,
    number: int,
    reason: str | None,
) -> None:
    computer = Machine(*seen)
    monkeypatch.setattr(measure, "interleaved", computer.interleaved)
    monkeypatch.setattr(machine.Others, "share", computer.share)
    turns = {name: Turn(lambda: None, WallTimer()) for name in ("netspec", "a", "b")}
    advanced: list[None] = []
    last = until_quiet(turns, {}, WallTimer(), rounds, lambda: advanced.append(None))
    assert (last.number, last.reason) == (number, reason)
    assert last.timings == seen[-1][1]
    assert len(advanced) == 2 * len(turns)  # only turns of the first measurement are progress


def test_a_measurement_that_took_long_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Machine(BUSY)
    monkeypatch.setattr(measure, "interleaved", computer.interleaved)
    monkeypatch.setattr(machine.Others, "share", computer.share)
    monkeypatch.setattr(measure, "LONGEST", -1.0)
    turns = {name: Turn(lambda: None, WallTimer()) for name in ("netspec", "a", "b")}
    assert until_quiet(turns, {}, WallTimer(), 15, lambda: None).number == 1


def test_a_turn_waits_for_threads_of_other_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    used = iter([0.0, 0.002, 0.002, 0.004, 0.004, 0.0041])
    monkeypatch.setattr(measure, "process_time", lambda: next(used))
    monkeypatch.setattr(measure, "sleep", waits.append)
    measure._wait_for_idle_threads()
    assert waits == [0.002] * 3  # the third wait took less than 0.4 ms of processor time


def test_the_best_peer_is_the_fastest_that_was_timed() -> None:
    def entry(name: str, median: float | None) -> Entry:
        return {"name": name, "median_ms": median}

    ours, slow, fast = entry("netspec", 2.0), entry("slow", 9.0), entry("fast", 3.0)
    assert compared([ours, slow, fast, entry("failed", None)]) == ("fast", 1.5)
    assert compared([ours, entry("failed", None)]) == (None, None)
    assert compared([entry("netspec", None), slow]) == ("slow", None)


def test_a_gpu_is_timed_through_the_same_interfaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is none, Triton's interpreter stands in, whose times are worth nothing."""
    use(monkeypatch, Changed("right"))
    path = case_of(tmp_path).spec
    answer = bench(
        [path],
        settings={},
        batches=[1],
        dtype="float32",
        device="cuda",
        against=["right"],
        rounds=1,
    )
    (case,) = answer["cases"]
    assert [entry["error"] for entry in case["engines"]] == [None, None]
    assert ("gpu" in answer["machine"]) == torch.cuda.is_available()

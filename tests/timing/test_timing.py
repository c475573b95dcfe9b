"""Taking turns, with clocks that do as they are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from netspec.timing.timing import Timing, WallTimer, interleaved, timer_of, timing


def test_engines_take_turns_and_none_always_follows_the_same() -> None:
    order: list[str] = []

    def passing(name: str, seconds: Iterator[float]) -> float:
        order.append(name)
        return next(seconds)

    a, b = iter([9.0, 9.0, 1.0, 3.0, 2.0, 5.0, 4.0]), iter([9.0, 9.0, 7.0, 7.0, 7.0, 7.0, 7.0])
    timings = interleaved({"a": lambda: passing("a", a), "b": lambda: passing("b", b)}, rounds=5)
    assert "".join(order) == "abba" + "abbaabbaab"
    assert timings == {"a": Timing(3.0, 2.0, 4.0, 5, 1.0), "b": Timing(7.0, 7.0, 7.0, 5, 7.0)}


def test_events_stand_around_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            said.append("event")

        def synchronize(self) -> None:
            said.append("wait")

        def elapsed_time(self, end: object) -> float:
            return 6.0  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: said.append("idle"))
    once = timer_of(torch.device("cuda")).prepared([lambda: said.append("call")] * 3)
    assert said == []
    assert once() == 2e-3
    assert said == ["idle", "event", "call", "call", "call", "event", "wait"]
    assert isinstance(timer_of(torch.device("cpu")), WallTimer)


def test_no_engine_is_no_timing_and_one_sample_its_own_quartile() -> None:
    assert interleaved({}) == {}
    assert timing([2.5]) == Timing(2.5, 2.5, 2.5, 1, 2.5)


def test_a_pass_is_the_mean_of_its_calls() -> None:
    now = [0.0]

    def work(seconds: float) -> None:
        now[0] += seconds

    timer = WallTimer(clock=lambda: now[0])
    with timer.context():
        once = timer.prepared([lambda: work(1.0), lambda: work(4.0)])
    assert now == [0.0]  # preparing does no work that is timed
    assert once() == 2.5

"""The list of stages within a budget: a fake clock, and stages that only say what they would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.gpu.journal import STAGE, Journal, Log
from benchmarks.gpu.plan import SECOND, stages
from benchmarks.gpu.processes import GRACE, Ended
from benchmarks.gpu.runner import DONE, NEEDED, Stage, finished, run

OVERHEAD = 0.5
"""Seconds between stages on the fake clock."""


class Machine:
    """A machine on which a stage takes the seconds that ``takes`` says, or its limit if longer."""

    def __init__(self, folder: Path, takes: Callable[[Stage], float]) -> None:
        self.now = 0.0
        self.journal = Journal(folder)
        self.takes = takes
        self.ran: list[str] = []
        self.silent: set[str] = set()
        self.dead: set[str] = set()
        self.said: list[str] = []

    def start(self, command: Sequence[str], limit: float, variables: Mapping[str, str]) -> Ended:
        name = variables[STAGE]
        self.ran.append(name)
        needed = self.takes(self.stage(name))
        is_killed = needed > limit
        self.now += min(needed, limit) + (GRACE if is_killed else 0) + OVERHEAD
        if name not in self.silent:
            case = {"wrong": "two runs differ"} if name == "wrong" else {"gpu": "Made-up 1"}
            Log(self.journal, name).result("a", **case)
        code = None if is_killed else -11 if name in self.dead else 0
        return Ended(code, min(needed, limit))

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.every if stage.name == name)

    def call(self, every: Sequence[Stage], budget: float) -> tuple[int, float]:
        """Run the list once; return its exit code and its seconds on the clock."""
        self.every, began = every, self.now
        code = run(
            every, self.journal, budget, self.start, clock=lambda: self.now, say=self.said.append
        )
        return code, self.now - began


def usual(stage: Stage) -> float:
    return stage.usual


def test_the_list_takes_two_calls_of_330_and_300_seconds(tmp_path: Path) -> None:
    machine = Machine(tmp_path, usual)
    code, seconds = machine.call(stages(), 330)
    names = [stage.name for stage in stages()]
    assert code == 3
    assert seconds <= 330
    assert machine.ran == names[: len(machine.ran)]  # in order
    assert SECOND in names[len(machine.ran) - 1 :]
    first = len(machine.ran)
    code, seconds = machine.call(stages(), 300)
    assert code == 0
    assert seconds <= 300
    assert machine.ran[first:] == names[first:]


@pytest.mark.parametrize("budget", [60, 300, 330])
def test_stages_that_all_hang_stay_within_the_budget(tmp_path: Path, budget: float) -> None:
    machine = Machine(tmp_path, lambda stage: 1.0 if stage.name == NEEDED else 1e9)
    code, seconds = machine.call(stages(), budget)
    assert code == 1
    assert seconds <= budget
    assert finished(machine.journal) == {NEEDED}
    assert any(line.startswith("compile: killed after 40 s") for line in machine.said)


def test_limits_are_between_20_and_100_seconds() -> None:
    assert all(20 <= stage.limit <= 100 for stage in stages())
    assert all(0 < stage.usual < stage.limit for stage in stages())
    assert len({stage.name for stage in stages()}) == len(stages())


LIST = [Stage(name, (), 5, 20) for name in (NEEDED, "a", "b", "c")]


def test_one_that_dies_or_says_nothing_does_not_count_and_the_others_run(tmp_path: Path) -> None:
    machine = Machine(tmp_path, usual)
    machine.dead, machine.silent = {"a"}, {"b"}
    code, _ = machine.call(LIST, 100)
    assert code == 1
    assert machine.ran == [NEEDED, "a", "b", "c"]
    assert machine.said[1:3] == [
        "a: failed, exit code -11, 5.0 s, 1 result",
        "b: ended without a result, 5.0 s",
    ]
    assert finished(machine.journal) == {NEEDED, "c"}
    assert "not done: a, b" in machine.said


def test_the_next_call_skips_what_is_done_and_gives_up_after_two_tries(tmp_path: Path) -> None:
    machine = Machine(tmp_path, usual)
    machine.dead = {"a"}
    machine.call(LIST, 17)  # time for two
    assert machine.ran == [NEEDED, "a"]
    assert machine.said[-2] == "left out, run the same command again: b, c"
    machine.call(LIST, 100)
    assert machine.ran[2:] == ["b", "c", "a"]  # what failed before is not tried first
    machine.call(LIST, 100)
    assert machine.ran[5:] == []


def test_a_stage_that_ended_the_whole_machine_is_not_tried_first(tmp_path: Path) -> None:
    machine = Machine(tmp_path, usual)
    machine.journal.add("end", NEEDED, outcome=DONE, seconds=1.0)
    machine.journal.add("begin", "a", limit=20)  # and no end
    machine.call(LIST, 100)
    assert machine.ran == ["b", "c", "a"]


def test_without_a_gpu_nothing_else_starts_and_a_later_call_looks_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path, usual)
    machine.dead = {NEEDED}
    for _ in range(3):
        code, _ = machine.call(LIST, 100)
        assert code == 1
    assert machine.ran == [NEEDED] * 3
    machine.dead = set()
    machine.call(LIST, 100)
    assert machine.ran[3:] == [NEEDED, "a", "b", "c"]


def test_a_wrong_result_is_named_and_is_not_measured_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path, usual)
    every = [LIST[0], Stage("wrong", (), 5, 20)]
    assert machine.call(every, 100)[0] == 1
    assert machine.said[1].endswith("1 result, 1 bad, such as a: two runs differ")
    assert machine.said[-1] == "wrong results in: wrong"
    assert machine.call(every, 100)[0] == 1
    assert machine.ran == [NEEDED, "wrong"]


def test_a_reader_that_is_gone_does_not_stop_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*lines: object, **how: object) -> None:
        raise BrokenPipeError

    machine = Machine(tmp_path, usual)
    machine.every = LIST
    monkeypatch.setattr("builtins.print", refuse)
    assert run(LIST, machine.journal, 100, machine.start, clock=lambda: machine.now) == 0
    assert machine.ran == [NEEDED, "a", "b", "c"]

"""Run the list of stages within a budget of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from benchmarks.gpu.journal import STAGE, TRIES, Journal, Line
from benchmarks.gpu.processes import GRACE, Ended, Start

RESERVE = GRACE + 2.0
"""Seconds of the budget for the end of a killed stage, and for the report."""

NEEDED = "probe"
"""The stage without which no other one starts; it is run again however often it failed."""


class Stage(NamedTuple):
    """A stage of the list.

    Attributes:
        name: of the stage.
        command: arguments of Python.
        usual: seconds that it is expected to take; with less left, it is left out.
        limit: seconds after which it is killed.
    """

    name: str
    command: tuple[str, ...]
    usual: float
    limit: float


def run(
    stages: Sequence[Stage],
    journal: Journal,
    budget: float,
    start: Start,
    *,
    python: str = "python3",
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] | None = None,
) -> int:
    """Run the stages that are not done; return the exit code.

    It is 0 if all stages are done and right, 3 if some are left out, and 1 if one failed or found
    something wrong.
    """
    say = say or printed
    began = clock()
    left_out: list[str] = []
    ended: dict[str, str] = {}
    for stage in waiting(stages, journal):
        left = budget - RESERVE - (clock() - began)
        if left < stage.usual:
            left_out.append(stage.name)
            continue
        limit = min(stage.limit, left)
        journal.add("begin", stage.name, limit=round(limit, 1))
        found = len(journal.lines(stage.name, "result"))
        before = clock()
        try:
            outcome = start([python, *stage.command], limit, {STAGE: stage.name})
        except KeyboardInterrupt:
            journal.add("end", stage.name, outcome=INTERRUPTED, seconds=round(clock() - before, 2))
            raise
        results = journal.lines(stage.name, "result")[found:]
        ended[stage.name] = said = sentence(outcome, results, limit)
        journal.add("end", stage.name, outcome=said, seconds=round(outcome.seconds, 2))
        say(line(stage.name, outcome, results, said))
        if stage.name == NEEDED and said != DONE:
            left_out += [other.name for other in stages if other.name != NEEDED]
            break
    seconds = round(clock() - began, 1)
    journal.add("call", "", budget=budget, seconds=seconds, left_out=left_out)
    return report(stages, journal, budget, seconds, left_out, say)


def printed(line: str) -> None:
    """Print a line; if nobody reads it any more, the stages go on all the same."""
    with suppress(OSError):
        print(line, flush=True)


def waiting(stages: Sequence[Stage], journal: Journal) -> Iterator[Stage]:
    """Yield the stages that are not done, in order; those that failed before are yielded last."""
    tried = {stage.name: tries(stage.name, journal) for stage in stages}
    done = finished(journal)
    for stage in sorted(stages, key=lambda one: (one.name != NEEDED, tried[one.name])):
        if stage.name not in done and (stage.name == NEEDED or tried[stage.name] < TRIES):
            yield stage


def tries(name: str, journal: Journal) -> int:
    """Return how often a stage began; an interruption by the user does not count."""
    ends = journal.lines(name, "end")
    interrupted = sum(line["outcome"] == INTERRUPTED for line in ends)
    return len(journal.lines(name, "begin")) - interrupted


def finished(journal: Journal) -> set[str]:
    """Return the names of the stages that are done."""
    return {line["stage"] for line in journal.lines(kind="end") if line["outcome"] == DONE}


DONE, INTERRUPTED = "done", "interrupted"


def sentence(outcome: Ended, results: Sequence[Line], limit: float) -> str:
    """Return how a stage ended: :data:`DONE`, or why it is not done."""
    if outcome.code is None:
        return f"killed after {limit:.0f} s"
    if outcome.code:
        return f"failed, exit code {outcome.code}"
    return DONE if results else "ended without a result"


def line(name: str, outcome: Ended, results: Sequence[Line], said: str) -> str:
    """Return the line that is printed for a stage."""
    bad = [f"{one['case']}: {one.get('wrong') or one['error']}" for one in results if is_bad(one)]
    counted = f", {len(results)} result{'' if len(results) == 1 else 's'}" if results else ""
    worst = f", {len(bad)} bad, such as {bad[0][:120]}" if bad else ""
    return f"{name}: {said}, {outcome.seconds:.1f} s{counted}{worst}"


def is_bad(result: Mapping[str, object]) -> bool:
    return bool(result.get("wrong") or result.get("error"))


def report(
    stages: Sequence[Stage],
    journal: Journal,
    budget: float,
    seconds: float,
    left_out: Sequence[str],
    say: Callable[[str], None],
) -> int:
    """Say which stages are done, failed and left out; return the exit code."""
    done = finished(journal)
    failed = [
        stage.name
        for stage in stages
        if stage.name not in done and journal.lines(stage.name, "begin")
    ]
    wrong = sorted({one["stage"] for one in journal.lines(kind="result") if one.get("wrong")})
    say(f"{len(done)} of {len(stages)} stages are done; {seconds:.0f} s of {budget:.0f} s used")
    for words, names in {
        "left out, run the same command again": left_out,
        "not done": [name for name in failed if name not in left_out],
        "wrong results in": wrong,
    }.items():
        if names:
            say(f"{words}: {', '.join(names)}")
    return 1 if failed or wrong else 3 if left_out else 0

"""Limits, with real processes: one that hangs, one that dies, one that leaves others behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu.journal import Journal
from benchmarks.gpu.processes import Ended, run, several
from benchmarks.gpu.runner import NEEDED, Stage
from benchmarks.gpu.runner import run as run_all

HANGING = "import time; time.sleep(600)"

LEAVING = """
import os, subprocess, sys
child = [sys.executable, "-c", "import time; time.sleep(600)"]
own = subprocess.Popen(child)
away = subprocess.Popen(child, start_new_session=True)
print(own.pid, away.pid, flush=True)
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def is_alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(output: Path) -> list[int]:
    return [int(word) for word in output.read_text().split()]


@pytest.mark.parametrize("end", ["", HANGING], ids=["ends", "hangs"])
def test_everything_that_a_stage_started_ends_with_it(tmp_path: Path, end: str) -> None:
    output = tmp_path / "log"
    ended = run(python(LEAVING + end), 3, {}, output, tmp_path)
    assert ended.code == (None if end else 0)
    assert ended.seconds < 10
    numbers = children(output)
    assert len(numbers) == 2
    deadline = time.monotonic() + 5
    while any(map(is_alive, numbers)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(map(is_alive, numbers))


def test_others_of_the_same_program_go_on(tmp_path: Path) -> None:
    """A process that one stage started is not ended with another stage."""
    first, second = (
        (python("import time; time.sleep(2); print('there')"), {}),
        (python("raise SystemExit(3)"), {}),
    )

    def start(command: object, limit: float, variables: object) -> Ended:
        output = tmp_path / str(len(list(tmp_path.iterdir())))
        return run(command, limit, variables, output, tmp_path)  # type: ignore[arg-type]

    outcomes = several([first, second], 2, 20, start)
    assert [one.code for one in outcomes] == [0, 3]


def test_several_stay_within_their_limit_together(tmp_path: Path) -> None:
    def start(command: object, limit: float, variables: object) -> Ended:
        return run(command, limit, variables, tmp_path / "log", tmp_path)  # type: ignore[arg-type]

    began = time.monotonic()
    outcomes = several([(python(HANGING), {})] * 3, 2, 2.0, start)
    assert [one.code for one in outcomes] == [None] * 3
    assert outcomes[2].seconds == 0  # there was no time for it
    assert time.monotonic() - began < 10


RESULT = """
from pathlib import Path
from benchmarks.gpu.journal import Log
Log.of_environment().result("a", figure=1)
"""


def test_a_hang_a_crash_and_a_silence_cost_only_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: main's own start of processes, limits, journal, report."""
    from benchmarks.gpu.__main__ import environment, starter

    codes = {
        NEEDED: RESULT,
        "hangs": f"{RESULT}\n{HANGING}",
        "dies": "import os; os.kill(os.getpid(), 11)",
        "is silent": "",
        "is right": RESULT,
    }
    every = [Stage(name, ("-c", code), 1, 3) for name, code in codes.items()]
    journal = Journal(tmp_path / "out")
    start = starter(journal, environment(tmp_path / "work"))
    began = time.monotonic()
    assert run_all(every, journal, 60, start, python=sys.executable) == 1
    assert time.monotonic() - began < 60
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[0] for line in lines[:5]] == [
        f"{NEEDED}: done",
        "hangs: killed after 3 s",
        "dies: failed",
        "is silent: ended without a result",
        "is right: done",
    ]
    # What the stage that hangs had found before is there.
    assert journal.lines("hangs", "result")[0]["figure"] == 1

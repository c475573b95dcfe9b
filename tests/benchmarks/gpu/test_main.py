"""The runner as a process: signals end its stages, and the next call continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu.journal import Journal
from benchmarks.gpu.runner import DONE, INTERRUPTED
from tests.benchmarks.gpu.test_processes import is_alive

ROOT = Path(__file__).parents[3]

PROBE = "from benchmarks.gpu.journal import Log; Log.of_environment().result('a', gpu='Made-up 1')"
SLOW = """
import os, pathlib, subprocess, sys, time
from benchmarks.gpu.journal import Log
log = Log.of_environment()
for case in log.cases(["first", "second"]):
    if case == "second" and not pathlib.Path(sys.argv[1]).exists():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        log.result("processes", numbers=[os.getpid(), child.pid])
        time.sleep(600)
    log.result(case, off=0.5)
"""
RUNNER = f"""
import sys
from benchmarks.gpu import __main__ as program
from benchmarks.gpu.runner import Stage
program.stages = lambda: [
    Stage("probe", ("-c", {PROBE!r}), 1, 60), Stage("slow", ("-c", {SLOW!r}, sys.argv[1]), 1, 60)
]
sys.exit(program.main(sys.argv[2:]))
"""


class Runner:
    """A runner of two stages, the second of which hangs until the file ``quick`` exists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder / "out")

    def start(self) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-c",
            RUNNER,
            str(self.folder / "quick"),
            str(self.folder / "out"),
        ]
        command += ["--work", str(self.folder / "work")]
        return subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def until_it_hangs(self) -> list[int]:
        """Wait for the processes of the second stage; return their numbers."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for line in self.journal.lines("slow", "result"):
                if line["case"] == "processes" and is_alive(line["numbers"][0]):
                    return list(line["numbers"])
            time.sleep(0.05)
        raise AssertionError("the stage did not start")

    def finish(self) -> list[str]:
        """Run the list once more, with a stage that does not hang; return the lines it prints."""
        (self.folder / "quick").touch()
        process = self.start()
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        return said.splitlines()


def have_ended(numbers: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(is_alive, numbers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_alive, numbers))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_signal_ends_the_stage_and_does_not_count_as_a_try(
    tmp_path: Path, number: signal.Signals
) -> None:
    runner = Runner(tmp_path)
    process = runner.start()
    numbers = runner.until_it_hangs()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "interrupted: the same command continues with this stage\n"
    assert have_ended(numbers)
    assert [line["outcome"] for line in runner.journal.lines(kind="end")] == [DONE, INTERRUPTED]
    said = runner.finish()
    assert said[0].startswith("slow: done")
    cases = [line["case"] for line in runner.journal.lines("slow", "result")]
    assert cases == ["first", "processes", "second"]  # what is done is not repeated


def test_after_a_killed_runner_the_next_call_ends_what_it_left(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    process = runner.start()
    numbers = runner.until_it_hangs()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert all(map(is_alive, numbers))
    said = runner.finish()
    assert have_ended(numbers)
    assert said[0].startswith("slow: done")
    assert [line["case"] for line in runner.journal.lines("slow", "result")][-1] == "second"


def test_a_second_run_for_the_same_folder_is_refused(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    process = runner.start()
    numbers = runner.until_it_hangs()
    other = runner.start()
    _, errors = other.communicate(timeout=30)
    assert other.returncode == 1
    assert errors.startswith("another run writes to ")
    assert all(map(is_alive, numbers))
    process.terminate()
    process.communicate(timeout=30)
    assert have_ended(numbers)

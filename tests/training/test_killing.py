"""Processes that are killed at random moments, and a run that ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from netspec.training.checkpoint import Checkpoint, State
from netspec.training.directory import CHECKPOINT
from netspec.training.progress import Moment, Report
from netspec.training.run import Run
from netspec.training.settings import Settings
from tests.training.runs import begin_or_resume, metrics, settings, started, weights

LONGEST = 0.7
"""Seconds until the latest kill, counted from when a process begins; a whole run takes three times
as long, and more on a machine that does something else as well."""

EARLY = 4
"""Each so many kills, one counts from the start of the process, before there is a run to go on."""


class Slow(Report):
    """Takes its time, so that kills fall into all parts of a run; tells when it begins."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def begin(self, run: Run, steps: int, state: State) -> None:
        self.flag.touch()

    def step(self, moment: Moment) -> None:
        time.sleep(0.02)


def learn(asked: Settings, directory: Path, flag: Path, is_early: bool) -> None:
    if is_early:
        flag.touch()
    begin_or_resume(asked, directory, Slow(flag))


def finish(asked: Settings, directory: Path, flag: Path) -> None:
    process = started(learn, asked, directory, flag, False)
    process.join()
    assert process.exitcode == 0


def steps(directory: Path) -> tuple[int, int]:
    """Epochs and steps that a run would go on from; (-1, 0) where there is none."""
    path = directory / CHECKPOINT
    if not path.exists():
        return -1, 0
    state = Checkpoint.load(path, Run.open(directory).net.graph).state
    return state.epoch, state.steps


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_ends_with_the_weights_of_one_that_is_not(
    tmp_path: Path, kills: int
) -> None:
    asked = settings(tmp_path, checkpoint_every=0.0, snapshots=(0, 1))
    whole, flag = tmp_path / "whole", tmp_path / "flag"
    finish(asked, whole, flag)
    moments = random.Random(kills)
    killed = advanced = number = 0
    while killed < kills:
        directory = tmp_path / f"run{number}"
        before = steps(directory)
        flag.unlink(missing_ok=True)
        process = started(learn, asked, directory, flag, killed % EARLY == 0)
        while not flag.exists() and process.is_alive():
            process.join(0.01)
        process.join(moments.uniform(0, LONGEST))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            killed += 1
            advanced += steps(directory) > before
        else:  # it was done before
            assert process.exitcode == 0
            assert weights(directory) == weights(whole)
            number += 1
    assert advanced >= kills // 3
    directory = tmp_path / f"run{number}"
    finish(asked, directory, flag)
    assert weights(directory) == weights(whole)
    assert metrics(directory) == metrics(whole)
    for epoch in (0, 1):
        name = f"snapshots/epoch-{epoch:04}.safetensors"
        assert (directory / name).read_bytes() == (whole / name).read_bytes()
    assert not [path.name for path in directory.rglob(".*")]

"""Processes that are killed at random moments, and a run that ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from netspec.training.checkpoint import Checkpoint
from netspec.training.directory import CHECKPOINT
from netspec.training.progress import Moment, Report
from netspec.training.run import Run
from netspec.training.settings import Settings
from tests.training.runs import begin_or_resume, metrics, settings, started, weights

LATEST_STEP = 20
"""Steps of a process until its latest kill; a whole run has 69.  Kills count steps, not seconds:
on a busy machine, seconds may end before the first step, or after the last."""

LONGEST = 0.7
"""Seconds until the latest of the kills that count from the start of the process."""

STEP = 0.02
"""Seconds that a step takes at least; a kill falls anywhere into the step."""

EARLY = 4
"""Each so many kills, one counts from the start of the process, before there is a run to resume."""


class Counting(Report):
    """Write one byte per step to a file; take time, so that kills fall into all parts of a step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def step(self, moment: Moment) -> None:
        with self.path.open("ab") as file:
            file.write(b".")
        time.sleep(STEP)


def learn(asked: Settings, directory: Path, made: Path) -> None:
    begin_or_resume(asked, directory, Counting(made))


def finish(asked: Settings, directory: Path, made: Path) -> None:
    process = started(learn, asked, directory, made)
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
    whole, made = tmp_path / "whole", tmp_path / "made"
    finish(asked, whole, made)
    moments = random.Random(kills)
    killed = advanced = number = 0
    while killed < kills:
        directory = tmp_path / f"run{number}"
        before = steps(directory)
        made.write_bytes(b"")
        process = started(learn, asked, directory, made)
        if killed % EARLY:
            last = moments.randint(0, LATEST_STEP)
            while made.stat().st_size < last and process.is_alive():
                process.join(0.005)
            process.join(moments.uniform(0, STEP))
        else:
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
    finish(asked, directory, made)
    assert weights(directory) == weights(whole)
    assert metrics(directory) == metrics(whole)
    for epoch in (0, 1):
        name = f"snapshots/epoch-{epoch:04}.safetensors"
        assert (directory / name).read_bytes() == (whole / name).read_bytes()
    assert not [path.name for path in directory.rglob(".*")]

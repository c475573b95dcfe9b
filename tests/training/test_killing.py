"""Processes that are killed at random moments, and a run that ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from netspec.training.progress import Moment, Report
from netspec.training.settings import Settings
from tests.training.runs import begin_or_resume, metrics, settings, started, weights

LONGEST = 1.5
"""Seconds until the latest kill: about what a process takes that nobody kills."""


class Slow(Report):
    """Takes its time, so that kills fall into all parts of a run."""

    def step(self, moment: Moment) -> None:
        time.sleep(0.02)


def learn(asked: Settings, directory: Path) -> None:
    begin_or_resume(asked, directory, Slow())


def finish(asked: Settings, directory: Path) -> None:
    process = started(learn, asked, directory)
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_ends_with_the_weights_of_one_that_is_not(
    tmp_path: Path, kills: int
) -> None:
    asked = settings(tmp_path, checkpoint_every=0.0, snapshots=(0, 1))
    whole = tmp_path / "whole"
    finish(asked, whole)
    moments = random.Random(kills)
    killed, number = 0, 0
    while killed < kills:
        directory = tmp_path / f"run{number}"
        process = started(learn, asked, directory)
        process.join(moments.uniform(0, LONGEST))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            killed += 1
        else:  # it was done before
            assert process.exitcode == 0
            assert weights(directory) == weights(whole)
            number += 1
    directory = tmp_path / f"run{number}"
    finish(asked, directory)
    assert weights(directory) == weights(whole)
    assert metrics(directory) == metrics(whole)
    for epoch in (0, 1):
        name = f"snapshots/epoch-{epoch:04}.safetensors"
        assert (directory / name).read_bytes() == (whole / name).read_bytes()
    left = [path.name for path in directory.rglob(".*")]
    assert not left

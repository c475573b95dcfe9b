"""Signals to a whole group of processes, as Slurm, systemd and `timeout` send them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from PIL import Image

from netspec.training.checkpoint import Checkpoint
from netspec.training.directory import CHECKPOINT
from netspec.training.metrics import read_metrics
from tests.training.ranks import free_port
from tests.training.test_torchrun import children

SPEC = """net small
input image 24x24x3
C1: conv 5x5/2, 4 | relu
G: gap
out: fc 2 | softmax
train {
    prepare   shorter 24 | center 24 | range low=0, high=1
    loss      cross_entropy
    optimizer sgd lr=0.05
    batch     4
    epochs    100000
}
"""

LONGEST = 120.0
"""Seconds that anything may take, on a machine that is busy."""


@pytest.fixture
def command(photographs: Path) -> list[str]:
    for split in ("train", "val"):
        for path in sorted((photographs / split).rglob("*.JPEG")):
            with Image.open(path) as image:
                for copy in range(4 if split == "train" else 0):
                    image.rotate(90 * copy).save(path.with_name(f"{copy}_{path.name}"))
    (photographs / "small.net").write_text(SPEC)
    return [
        "-m", "netspec", "train", str(photographs / "small.net"), "--data",
        f"images:{photographs}", "-o", str(photographs / "run"), "--workers", "2",
    ]  # fmt: skip


def begun(arguments: list[str], run: Path, epochs: int = 1) -> subprocess.Popen[str]:
    """A process that leads a group of its own, once its run has learned for some epochs."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (run.parent / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=environment,
        )
    until = monotonic() + LONGEST
    while not run.is_dir() or len(read_metrics(run)) < epochs:
        assert process.poll() is None, (run.parent / "log").read_text()
        assert monotonic() < until
        sleep(0.05)
    return process


def group_of(process: int) -> set[int]:
    """The processes of a group, without those that are only waited for."""
    members = set()
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                state, _, group = (place / "stat").read_text().rpartition(") ")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(group) == process and state != "Z":
                members.add(int(place.name))
    return members


def ended(group: int) -> bool:
    until = monotonic() + 15
    while (left := group_of(group)) and monotonic() < until:
        sleep(0.05)
    return not left


@pytest.fixture
def killing() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes whose groups are killed at the end, whatever comes of them."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        for member in group_of(process.pid):
            os.kill(member, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_the_group_saves_the_run(
    command: list[str],
    photographs: Path,
    number: signal.Signals,
    killing: list[subprocess.Popen[str]],
) -> None:
    run = photographs / "run"
    process = begun(command, run)
    killing.append(process)
    assert len(group_of(process.pid)) >= 1 + 2, "the trainer and its workers"
    os.killpg(process.pid, number)
    os.killpg(process.pid, number)  # as `timeout` does
    said = (photographs / "log").read_text
    assert process.wait(LONGEST) == 128 + number, said()
    assert said().endswith(f"saved; continue with: netspec train --resume {run}\n")
    assert "Traceback" not in said()
    assert Checkpoint.state_in(run / CHECKPOINT).epoch >= 1
    assert ended(process.pid), "workers are left"


def test_nothing_is_left_of_a_trainer_that_is_killed(
    command: list[str], photographs: Path, killing: list[subprocess.Popen[str]]
) -> None:
    process = begun(command, photographs / "run")
    killing.append(process)
    process.kill()
    process.wait()
    assert ended(process.pid)


def test_a_signal_to_the_group_of_torchrun_saves_the_run(
    command: list[str], photographs: Path, killing: list[subprocess.Popen[str]]
) -> None:
    """torchrun sends it to the ranks once more; they are in groups of their own."""
    run = photographs / "run"
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    process = begun([*launcher, *command], run)
    killing.append(process)
    ranks = list(children(process.pid))
    for group in {process.pid, *map(os.getpgid, ranks)}:
        os.killpg(group, signal.SIGTERM)
    assert process.wait(LONGEST) != 0
    said = (photographs / "log").read_text()
    assert said.count(f"saved; continue with: netspec train --resume {run}\n") == 1, said
    assert Checkpoint.state_in(run / CHECKPOINT).epoch >= 1
    assert all(ended(group) for group in (process.pid, *ranks))

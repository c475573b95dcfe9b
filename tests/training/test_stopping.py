"""Signals to a whole group of processes, as Slurm, systemd and `timeout` send them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from PIL import Image

from netspec.cli import main
from netspec.training.checkpoint import Checkpoint
from netspec.training.directory import CHECKPOINT
from netspec.training.metrics import read_metrics
from tests.training.ranks import free_port
from tests.training.runs import started
from tests.training.test_torchrun import children, lead, torchrun

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
        "train", str(photographs / "small.net"), "--data",
        f"images:{photographs}", "-o", str(photographs / "run"), "--workers", "2",
    ]  # fmt: skip


def begun(run: Path, work: Callable[..., Any], *arguments: Any, epochs: int = 1) -> BaseProcess:
    """A process that leads a group of its own, once its run has learned for some epochs."""
    log = run.parent / "log"
    process = started(lead, log, work, *arguments)
    until = monotonic() + LONGEST
    while not run.is_dir() or len(read_metrics(run)) < epochs:
        assert process.is_alive(), log.read_text()
        assert monotonic() < until
        sleep(0.05)
    return process


def command_line(arguments: list[str]) -> None:
    """Do what ``netspec`` does with these arguments; unlike a command of click, it has a name."""
    main(arguments)


def code_of(process: BaseProcess) -> int | None:
    """The exit code of a process, which has time to end."""
    process.join(LONGEST)
    return process.exitcode


def number_of(process: BaseProcess) -> int:
    """The number of a process, and of the group that it leads."""
    assert process.pid is not None
    return process.pid


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
def killing() -> Iterator[list[BaseProcess]]:
    """Processes whose groups are killed at the end, whatever comes of them."""
    processes: list[BaseProcess] = []
    yield processes
    for process in processes:
        for member in group_of(number_of(process)):
            os.kill(member, signal.SIGKILL)
        process.join()


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
    killing: list[BaseProcess],
) -> None:
    run = photographs / "run"
    process = begun(run, command_line, command)
    killing.append(process)
    group = number_of(process)
    assert len(group_of(group)) >= 1 + 2, "the trainer and its workers"
    os.killpg(group, number)
    os.killpg(group, number)  # as `timeout` does
    said = (photographs / "log").read_text
    assert code_of(process) == 128 + number, said()
    assert said().endswith(f"saved; continue with: netspec train --resume {run}\n")
    assert "Traceback" not in said()
    assert Checkpoint.state_in(run / CHECKPOINT).epoch >= 1
    assert ended(group), "workers are left"


def test_nothing_is_left_of_a_trainer_that_is_killed(
    command: list[str], photographs: Path, killing: list[BaseProcess]
) -> None:
    process = begun(photographs / "run", command_line, command)
    killing.append(process)
    assert len(group_of(number_of(process))) >= 1 + 2, "the trainer and its workers"
    process.kill()
    process.join()
    assert ended(number_of(process))


def train_as_rank(arguments: list[str]) -> None:
    """Train as one rank, in a group of its own, as torchrun starts ranks that are programs."""
    os.setsid()
    main(arguments)


def test_a_signal_to_the_group_of_torchrun_saves_the_run(
    command: list[str], photographs: Path, killing: list[BaseProcess]
) -> None:
    """torchrun sends it to the ranks once more; they are in groups of their own."""
    run = photographs / "run"
    options = ["--nproc-per-node=2", f"--master-port={free_port()}"]
    process = begun(run, torchrun, options, train_as_rank, command)
    killing.append(process)
    ranks = list(children(number_of(process)))
    groups = {number_of(process), *map(os.getpgid, ranks)}
    assert groups >= {*ranks}
    for group in groups:
        os.killpg(group, signal.SIGTERM)
    assert code_of(process) != 0
    said = (photographs / "log").read_text()
    assert said.count(f"saved; continue with: netspec train --resume {run}\n") == 1, said
    assert Checkpoint.state_in(run / CHECKPOINT).epoch >= 1
    assert all(ended(group) for group in (number_of(process), *ranks))

"""torchrun: columns that train, one that is killed, and a run that continues afterwards."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, parse_args
from torch.optim.optimizer import register_optimizer_step_post_hook

from netspec.cli import main
from netspec.training.loop import train
from netspec.training.parallel import is_started_again
from netspec.training.run import Run
from tests.training.ranks import free_port
from tests.training.runs import NET, RECIPE, settings, started

ROUNDING = 1e-9
"""float64, 69 steps of the same sums in another order."""

STEPS = 23
"""Number of steps per epoch, of which there are three."""

LAST_STEP = 30
"""The step in which rank 1 dies."""


def train_as_rank(arguments: list[str]) -> None:
    """Train as one rank; when torchrun starts them for the first time, rank 1 kills itself.

    It kills itself at a fixed step: after a fixed time, the run could have ended already.
    """
    if os.environ["RANK"] == "1" and not is_started_again():
        print("rank 1 is process", os.getpid(), flush=True)
        steps = count(1)

        def die_at_last_step(*_: object) -> None:
            if next(steps) == LAST_STEP:
                os.kill(os.getpid(), signal.SIGKILL)

        register_optimizer_step_post_hook(die_at_last_step)
    main(arguments)


def lead(log: Path, work: Callable[..., Any], *arguments: Any) -> None:
    """Do some work as the leader of a new group of processes, which writes to the log."""
    os.setsid()
    # semaphores of those that are killed are for a tracker of the group, not for that of the tests
    resource_tracker._resource_tracker._fd = None
    with log.open("wb") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    work(*arguments)


def torchrun(options: list[str], rank: Callable[[list[str]], None], arguments: list[str]) -> None:
    """Do what torchrun does, with ranks that are forked from this process, which has PyTorch."""
    config, _, _ = config_from_args(parse_args(["--start-method=fork", *options, "netspec"]))
    elastic_launch(config, rank)(arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="dead processes are looked up in /proc")
def test_a_column_that_is_killed_is_named_and_the_run_goes_on(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    single = started(train, settings(tmp_path, dtype="float64"), alone)
    spec = tmp_path / "spread.net"
    spec.write_text(NET.replace("input", "columns 2\ninput") + RECIPE)
    directory, log = tmp_path / "run", tmp_path / "log"
    launcher = started(
        lead,
        log,
        torchrun,
        ["--nproc-per-node=2", "--max-restarts=1", f"--master-port={free_port()}"],
        train_as_rank,
        ["train", str(spec), "--columns", "--data", "digits:8", "--dtype", "float64",
         "--checkpoint-every=0", "-o", str(directory)],
    )  # fmt: skip
    launcher.join()
    said = log.read_text()
    assert launcher.exitcode == 0, said
    _, _, rest = said.partition("rank 1 is process ")
    second = rest.split()[0]
    assert f"error: rank 1 (process {second} on " in said
    assert (
        f"has died; this run has stopped; continue it with `netspec train --resume {directory}`"
        in said
    )
    # rank 0 saves a step after all ranks have agreed to: the step that rank 1 died in is repeated
    assert f"  resume   at step {LAST_STEP - STEPS} of epoch 2" in said, said
    assert said.count("weights in") == 1
    single.join()
    weights, wanted = Run.open(directory).weights(), Run.open(alone).weights()
    for name, w in wanted.items():
        torch.testing.assert_close(weights[name], w, rtol=ROUNDING, atol=ROUNDING)


def children(process: int) -> Iterator[int]:
    """The processes that a process has started, itself or its threads."""
    for task in Path(f"/proc/{process}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())

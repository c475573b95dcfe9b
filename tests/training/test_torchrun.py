"""torchrun: columns that train, one that is killed, and a run that goes on from its checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch

from netspec.training.loop import train
from netspec.training.run import Run
from tests.training.ranks import free_port
from tests.training.runs import NET, RECIPE, settings, started

ROUNDING = 1e-9
"""float64, 69 steps of the same sums in another order."""

LONGEST = 120.0
"""Seconds that torchrun may take to come to a place, on a machine that is busy."""


@pytest.mark.slow  # 25 s, and on a busy machine the run can end before the signal
def test_a_column_that_is_killed_is_named_and_the_run_goes_on(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    started(train, settings(tmp_path, dtype="float64"), alone).join()
    spec = tmp_path / "spread.net"
    spec.write_text(NET.replace("input", "columns 2\ninput") + RECIPE)
    directory, log = tmp_path / "run", tmp_path / "log"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1",
        f"--master-port={free_port()}", "-m", "netspec", "train", spec, "--columns",
        "--data", "digits:8", "--dtype", "float64", "--checkpoint-every=0", "-o", directory,
    ]  # fmt: skip
    with log.open("w") as output:
        torchrun = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        until = monotonic() + LONGEST
        told = directory / "metrics.jsonl"
        while not (told.is_file() and told.read_text()):
            assert monotonic() < until, log.read_text()
            sleep(0.02)
        (second,) = (number for number in children(torchrun.pid) if rank_of(number) == "1")
        os.kill(second, 9)
        assert torchrun.wait(LONGEST) == 0, log.read_text()
    finally:
        torchrun.kill()
    said = log.read_text()
    assert f"error: rank 1 (process {second} on " in said
    assert (
        f"has died; this run has stopped; continue it with `netspec train --resume {directory}`"
        in said
    )
    assert "  resume   at " in said
    assert said.count("weights in") == 1
    run = Run.open(directory)
    weights, wanted = run.weights(), Run.open(alone).weights()
    for name, w in wanted.items():
        torch.testing.assert_close(weights[name], w, rtol=ROUNDING, atol=ROUNDING)


def children(process: int) -> Iterator[int]:
    """The processes that a process has started, itself or its threads."""
    for task in Path(f"/proc/{process}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def rank_of(process: int) -> str:
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next((v[5:].decode() for v in variables if v.startswith(b"RANK=")), "")

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

from netspec import DataError
from netspec.data.preprocessing import Prepare
from netspec.ir.shapes import Shape
from netspec.training.batches import Batches
from netspec.training.workers import Workers
from tests.training.example_data import Drawn


def slowly(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def pid(_key: int) -> int:
    return os.getpid()


def send_oneself(number: int) -> int:
    os.kill(os.getpid(), number)
    return number


@pytest.mark.parametrize("count", [0, 2])
def test_results_come_in_the_order_of_the_keys(count: int) -> None:
    workers = Workers(slowly, count)
    keys = [0.1, 0.0, 0.05, 0.0]
    assert list(workers.results(keys)) == keys
    assert list(workers.results([0.0])) == [0.0]
    assert list(workers.results([])) == []


def test_work_is_done_elsewhere_and_ends_with_the_workers() -> None:
    workers = Workers(pid, 2)
    before = set(active_children())
    pids = set(workers.results(range(4)))
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert set(workers.results(range(4))) == pids, "the same processes again"
    workers.close()
    assert set(active_children()) <= before


def test_the_time_that_is_waited_is_counted() -> None:
    workers = Workers(slowly, 0)
    for _ in workers.results([0.1, 0.1]):
        time.sleep(0.3)  # the device computes
    assert 0.2 <= workers.waited < 0.3


def test_workers_read_while_the_device_computes() -> None:
    workers = Workers(slowly, 1)
    list(workers.results([0.0]))  # started
    before = workers.waited
    results = workers.results([0.4, 0.4, 0.4])
    next(results)
    time.sleep(1.5)
    for _ in results:
        pass
    assert workers.waited - before < 0.4 + 0.3
    workers.close()


def test_the_generator_that_all_share_is_left_alone() -> None:
    before = torch.get_rng_state()
    assert len(list(Workers(pid, 0).results(range(2)))) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_leave_interrupts_to_the_process_that_trains() -> None:
    workers = Workers(send_oneself, 1)
    assert list(workers.results([signal.SIGINT])) == [signal.SIGINT]
    workers.close()


def test_a_worker_that_is_killed_is_a_clear_error() -> None:
    shape = Shape((8, 8, 3))
    data = Drawn(40, (8, 8), deadly=(11,))
    batches = Batches(data, Prepare([], shape, None), None, shape, batch=4, seed=0, workers=2)
    with pytest.raises(DataError, match=r"a process that reads the data has ended.*fewer workers"):
        list(batches.epoch(0))


KILLED = """
import os, signal
from multiprocessing import active_children
from netspec.training.workers import Workers
from tests.training.test_workers import slowly

if __name__ == "__main__":
    results = Workers(slowly, 2).results([0.0] * 9)
    next(results)
    print(*(child.pid for child in active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_workers_end_with_a_killed_trainer(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    told = subprocess.run(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
        timeout=60,
    )
    assert told.returncode == -signal.SIGKILL
    places = [Path("/proc") / pid for pid in told.stdout.decode().split()]
    assert len(places) == 2
    until = time.monotonic() + 10
    while any(place.exists() for place in places) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(place.exists() for place in places)

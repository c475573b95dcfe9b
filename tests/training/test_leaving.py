"""A rank that ends too early is named by the others, with its reason where it had the time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import torch

from netspec.errors import DataError
from netspec.training.leaving import PATIENCE
from netspec.training.parallel import Ranks, start
from tests.training.ranks import environment, free_port

PROCESSES = 3


def die(ranks: Ranks) -> None:
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def stop(ranks: Ranks) -> None:
    if ranks.rank == 1:
        raise DataError("the disk is full")


def go_on(ranks: Ranks) -> None:
    pass


def take_part(number: int, port: int, folder: Path, end: Callable[[Ranks], None]) -> None:
    """Add up until it goes no further, and write down what was said then, and how long it took."""
    os.environ.update(environment(number, PROCESSES, port))
    said, began = "", monotonic()
    try:
        with start() as ranks:
            assert ranks.sum(torch.ones(1)) == PROCESSES
            began = monotonic()
            end(ranks)
            ranks.sum(torch.ones(1))
    except DataError as error:
        said = str(error)
    (folder / f"{number}").write_text(f"{os.getpid()}\n{monotonic() - began}\n{said}")


def parting(folder: Path, end: Callable[[Ranks], None]) -> dict[int, tuple[str, float]]:
    """What each rank that is left said, and the seconds until it did."""
    context = multiprocessing.get_context("forkserver")
    port = free_port()
    arguments = [(number, port, folder, end) for number in range(PROCESSES)]
    processes = [context.Process(target=take_part, args=one) for one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    endings = {}
    for path in folder.iterdir():
        _, seconds, said = path.read_text().split("\n", 2)
        endings[int(path.name)] = said, float(seconds)
    return endings


def test_a_rank_that_dies_is_named(tmp_path: Path) -> None:
    endings = parting(tmp_path, die)
    assert endings.keys() == {0, 2}
    for said, seconds in endings.values():
        assert said.startswith("rank 1 (process ")
        assert said.endswith(" has died")
        assert seconds < 2 * PATIENCE + 10  # a machine that tests run on may be slow


def test_a_rank_that_stops_tells_why(tmp_path: Path) -> None:
    endings = parting(tmp_path, stop)
    assert endings[1][0] == "the disk is full"
    for number in (0, 2):
        assert endings[number][0] == "rank 1 has stopped: the disk is full"


def test_ranks_that_end_together_say_nothing(tmp_path: Path) -> None:
    assert {said for said, _ in parting(tmp_path, go_on).values()} == {""}

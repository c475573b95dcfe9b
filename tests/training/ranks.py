"""Real processes for tests of what ranks do together: gloo, on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from typing import Any

import torch
import torch.multiprocessing as mp

from netspec.training.parallel import Ranks, start

Work = Callable[[Ranks], Any]


def together(processes: int, work: Work, *, columns: int = 1) -> list[Any]:
    """What each of some ranks answers; ``work`` is a function at the top of a module."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["netspec.training.parallel"])  # torch is imported once
    answers: SimpleQueue[tuple[int, Any]] = context.SimpleQueue()
    given = (processes, free_port(), work, columns, answers)
    mp.start_processes(_one, given, nprocs=processes, start_method="forkserver")
    found = dict(answers.get() for _ in range(processes))
    return [found[number] for number in range(processes)]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def environment(number: int, processes: int, port: int) -> dict[str, str]:
    """What torchrun tells a process."""
    return {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _one(
    number: int,
    processes: int,
    port: int,
    work: Work,
    columns: int,
    answers: SimpleQueue[tuple[int, Any]],
) -> None:
    torch.set_num_threads(1)
    os.environ.update(environment(number, processes, port))
    with start(columns=columns) as ranks:
        answers.put((number, work(ranks)))

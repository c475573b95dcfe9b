"""Real processes for tests of what ranks do together: gloo, on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.multiprocessing as mp

from netspec.training.parallel import start
from tests.forked import forkserver

Work = Callable[..., Any]


def together(processes: int, work: Work, *arguments: Any, columns: int = 1) -> list[Any]:
    """What each of some ranks answers to ``work(ranks, *arguments)``.

    ``work`` is a function at the top of a module; answers are plain data and tensors.
    """
    forkserver()
    with TemporaryDirectory() as folder:
        told = (processes, free_port(), folder, work, arguments, columns)
        mp.start_processes(_one, told, nprocs=processes, start_method="forkserver")
        return [torch.load(Path(folder, str(number))) for number in range(processes)]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


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
    folder: str,
    work: Work,
    arguments: tuple[Any, ...],
    columns: int,
) -> None:
    torch.set_num_threads(1)
    os.environ.update(environment(number, processes, port))
    with start(columns=columns) as ranks:
        torch.save(work(ranks, *arguments), Path(folder, str(number)))

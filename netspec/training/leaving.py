"""How ranks leave: each writes its reason for the others, and one without a reason has died.

Reasons stand in the store that the ranks met at, under the number of the rank.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

PATIENCE = 3.0
"""Seconds that the other ranks have to say that they are alive, when one is found to be missing."""


def introduce(store: Store, number: int) -> None:
    """Write for the others which process this rank is."""
    store.set(f"is/{number}", f"process {os.getpid()} on {socket.gethostname()}")


def leave(store: Store, number: int, processes: int, error: BaseException) -> str:
    """Write for the others why this rank cannot go on; return which of them is at fault, if any.

    Returns:
        A message that names the ranks which have died or stopped; nothing if the error is our own.
    """
    is_ours = not _is_of_collectives(error)
    others = [n for n in range(processes) if n != number]
    with _undisturbed():
        try:
            store.set(f"left/{number}", str(error) or type(error).__name__ if is_ours else "")
            return "" if is_ours else _at_fault(store, others)
        except dist.DistError:
            return _message("the rank that the others meet at has died, which is rank 0")


def _at_fault(store: Store, others: Iterable[int]) -> str:
    until = monotonic() + PATIENCE
    told = {n: _told(store, f"left/{n}", until) for n in others}
    stopped = [f"rank {n} has stopped: {why}" for n, why in told.items() if why]
    if stopped:
        return _message("; ".join(stopped))
    gone = [f"rank {n} ({_told(store, f'is/{n}', until)})" for n in told if told[n] is None]
    return _message(f"{', '.join(gone)} has died") if gone else ""


def _told(store: Store, key: str, until: float) -> str | None:
    """Return what another rank has written, waiting until ``until``; None if it wrote nothing."""
    while not store.check([key]):
        if monotonic() > until:
            return None
        sleep(0.05)
    return str(store.get(key), "utf-8")


def _message(reason: str) -> str:
    return f"{reason}; this run ends here, and `netspec train --resume RUN` continues it"


def _is_of_collectives(error: BaseException) -> bool:
    """Return whether an operation of several ranks failed; gloo raises plain RuntimeErrors."""
    said = str(error).lower()
    is_gloo = isinstance(error, RuntimeError) and ("gloo" in said or "connection" in said)
    return is_gloo or isinstance(error, dist.DistError)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore SIGTERM meanwhile: torchrun sends it to all when one has died, and waits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Find out why ranks stop: each writes its reason for the others, and dead ranks are detected.

A rank writes its reason to the store that the ranks met at, under its number.  At the start, each
rank also writes which process it is, and reads the processes of all others.  For a process of the
same machine, the system reports reliably whether it lives, however busy it is.  A rank of another
machine that writes no reason is only reported as not answering.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from traceback import clear_frames
from typing import NamedTuple

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

PATIENCE = 10.0
"""Seconds to wait for the reason of a rank that is not known to have died."""

LONGEST = 60.0
"""The longest time in seconds that rank 0 waits for a live rank to read the reasons."""


class Process(NamedTuple):
    """A process of a rank.

    Attributes:
        number: process number.
        host: host name of its machine.
        machine: identifier of its machine and container; empty if not known.
        started: start time; it distinguishes the process from a later one with the same number.
    """

    number: int
    host: str
    machine: str
    started: str

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        return cls(os.getpid(), socket.gethostname(), _machine(), _state(os.getpid())[1])

    def has_died(self) -> bool:
        """Return True if the process is known to be dead; False if it is on another machine."""
        if not self.machine or self.machine != _machine():
            return False
        state, started = _state(self.number)
        return state in ("", "X", "Z") or started != self.started

    def __str__(self) -> str:
        """Return a description for messages."""
        return f"process {self.number} on {self.host}"


def _machine() -> str:
    """Return an identifier of this machine and this container; empty if not known."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _state(number: int) -> tuple[str, str]:
    """Return the state and start time of a process on this machine; empty if it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    return "", ""


class Others:
    """The other ranks, as seen by one rank; each rank makes this after all have met.

    Args:
        store: the store that the ranks met at.
        number: number of this rank.
        processes: number of all ranks.
        is_host: True if this process keeps the store, so that the store ends with it.
    """

    def __init__(self, store: Store, number: int, processes: int, *, is_host: bool) -> None:
        self._store, self._number, self._is_host = store, number, is_host
        numbers = [n for n in range(processes) if n != number]
        me = Process.current()
        store.set(f"is/{number}", "\n".join(map(str, me)))
        told = store.multi_get([f"is/{n}" for n in numbers])  # waits until they are there
        self._processes: Mapping[int, Process] = {
            n: _process(str(text, "utf-8")) for n, text in zip(numbers, told, strict=True)
        }

    def leave(self, error: BaseException, close: Callable[[], None]) -> str:
        """Write why this rank stops, and close its connections; return which rank caused it.

        Args:
            error: error that stops this rank. If a collective operation failed, the frames of its
                traceback are cleared, as they keep the connections open.
            close: function that closes the connections to the other ranks, but not to the store.

        Returns:
            A message that names the ranks that died or stopped; empty if this rank itself failed.
        """
        is_ours = not _is_of_collectives(error)
        with _undisturbed():
            try:
                own = str(error) or type(error).__name__ if is_ours else ""
                self._store.set(f"left/{self._number}", own)
                message = "" if is_ours else self._at_fault(error)
                self._store.set(f"read/{self._number}", "")
            except dist.DistError:  # rank 0 failed, or stopped waiting for this rank
                message = "rank 0, which keeps the store of all ranks, has ended"
            if not is_ours:
                clear_frames(error.__traceback__)
            # before waiting for the others: a late rank may be in a collective with this one, and
            # reads the reasons only after that has failed
            close()
            if self._is_host:
                self._outlast()
        return message

    def _at_fault(self, error: BaseException) -> str:
        until = monotonic() + PATIENCE
        while True:
            # before the reasons are read: a rank found dead cannot write one in between
            dead = self._dead()
            told = {n: self._told(f"left/{n}") for n in self._processes}
            stopped = [f"rank {n} has stopped: {why}" for n, why in told.items() if why]
            if stopped:
                return "; ".join(stopped)
            if dead := {n: process for n, process in dead.items() if told[n] is None}:
                return _have_died(dead)
            silent = [n for n in told if told[n] is None]
            if not silent or monotonic() > until:
                break
            sleep(0.05)
        away = [n for n in silent if self._processes[n].machine != _machine()]
        if away:
            return f"{_listed({n: self._processes[n] for n in away})} does not answer"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"the connection between the ranks failed, and all of them still run: {reason}"

    def _dead(self) -> dict[int, Process]:
        return {n: process for n, process in self._processes.items() if process.has_died()}

    def _told(self, key: str) -> str | None:
        """Return what another rank has written under a key; None if it wrote nothing."""
        return str(self._store.get(key), "utf-8") if self._store.check([key]) else None

    def _outlast(self) -> None:
        """Wait until the other ranks have read the reasons, have died, or take too long."""
        here, began = _machine(), monotonic()
        for n, process in self._processes.items():
            until = began + (LONGEST if process.machine == here else PATIENCE)
            while self._told(f"read/{n}") is None and not process.has_died():
                if monotonic() > until:
                    break
                sleep(0.05)


def _process(text: str) -> Process:
    number, host, machine, started = text.split("\n")
    return Process(int(number), host, machine, started)


def _listed(ranks: Mapping[int, Process]) -> str:
    return ", ".join(f"rank {n} ({process})" for n, process in ranks.items())


def _have_died(ranks: Mapping[int, Process]) -> str:
    return f"{_listed(ranks)} {'has' if len(ranks) == 1 else 'have'} died"


def _is_of_collectives(error: BaseException) -> bool:
    """Return True if a collective operation failed; gloo raises plain RuntimeErrors."""
    said = str(error).lower()
    is_gloo = isinstance(error, RuntimeError) and ("gloo" in said or "connection" in said)
    return is_gloo or isinstance(error, dist.DistError)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore SIGTERM in the body, and the one that torchrun sends to all ranks when one has died.

    It may come after the body too, but must not end this process before the reason is printed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    has_come = False

    def note(*_: object) -> None:
        nonlocal has_come
        has_come = True

    def restore(*_: object) -> None:
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, restore)
        if has_come or "TORCHELASTIC_RUN_ID" not in os.environ:
            restore()

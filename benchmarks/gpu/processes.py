"""Run processes with a limit, and end everything that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

MARK = "NETSPEC_GPU_MARK"
"""The variable by which the descendants of a process are found, also those that left its group."""

GRACE = 3.0
"""Seconds to wait for a killed process.  A process that waits for a hung driver does not end at
all, and must not stop the stages after it."""

_numbers = count()
_lock = threading.Lock()


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        code: the exit code, negative for a signal; None if it was killed at its limit.
        seconds: how long it ran.
    """

    code: int | None
    seconds: float


Start = Callable[[Sequence[str], float, Mapping[str, str]], Ended]
"""Runs a command with a limit in seconds and variables that are added to the environment."""


def run(
    command: Sequence[str], limit: float, variables: Mapping[str, str], output: Path, cwd: Path
) -> Ended:
    """Run a command, append what it prints to a file, and return how it ended.

    At the end, its descendants are killed too.  Their output goes to a file and not to a pipe, so
    that none of them can keep the caller waiting.
    """
    mark, marks = new_mark()
    environment = os.environ | dict(variables) | marks
    started = time.monotonic()
    with output.open("ab") as file:
        process = subprocess.Popen(
            command, env=environment, cwd=cwd, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        code: int | None = process.wait(limit)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        # After Ctrl-C too: the process is in a session of its own and does not get the signal.
        kill(process, mark)
    return Ended(code, time.monotonic() - started)


def new_mark() -> tuple[str, dict[str, str]]:
    """Return a mark, and the variable with it and the marks of the processes above."""
    with _lock:
        mark = f"/{os.getpid()}.{next(_numbers)}/"
    return mark, {MARK: os.environ.get(MARK, "") + mark}


def kill(process: subprocess.Popen[Any], mark: str) -> None:
    """Kill a process, its group, and all processes whose environment has the mark."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    kill_marked(mark)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)


def kill_marked(mark: str) -> None:
    """Kill all processes whose environment has the mark."""
    for number, own in environments():
        if mark in own.get(MARK, ""):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)


def end_leftovers(name: str, value: str) -> None:
    """Kill marked processes whose environment has a value: their runner was killed before them."""
    for number, own in environments():
        if number != os.getpid() and MARK in own and own.get(name) == value:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)


def environments() -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the environment of each process that this user may see."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            entries = path.read_bytes().decode(errors="replace").split("\0")
            pairs = (entry.partition("=") for entry in entries)
            yield int(path.parent.name), {name: value for name, _, value in pairs}


def several(
    commands: Sequence[tuple[Sequence[str], Mapping[str, str]]],
    at_once: int,
    limit: float,
    start: Start,
) -> list[Ended]:
    """Run commands with their variables, some at once, each with a limit.

    No command is started after ``limit`` seconds, and then all of them have ended: a command that
    starts late gets what is left.  After an error or :func:`interruptible`'s signal, all that were
    started are killed.
    """
    end = time.monotonic() + limit

    def one(command: Sequence[str], variables: Mapping[str, str]) -> Ended:
        left = end - time.monotonic()
        return start(command, left, variables) if left > 0 else Ended(None, 0.0)

    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(one, *command) for command in commands]
        try:
            return [future.result() for future in running]
        finally:
            for future in running:
                future.cancel()
            # The threads wait for their processes until the limit.  Repeated, because a thread may
            # be about to start a process.
            while wait(running, timeout=0.1).not_done:
                kill_marked(f"/{os.getpid()}.")


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt after SIGINT, SIGTERM or SIGHUP, so that processes are ended."""
    every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    signals = [one for one in every if signal.getsignal(one) != signal.SIG_IGN]  # as under nohup

    def interrupt(number: int, frame: Any) -> None:
        for one in signals:  # processes are being killed: a second signal must not stop that
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    handlers = {one: signal.signal(one, interrupt) for one in signals}
    try:
        yield
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)

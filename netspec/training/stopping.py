"""Handle Ctrl-C, SIGTERM and SIGHUP: the run saves a checkpoint and stops."""

from __future__ import annotations

import signal
import threading
from time import monotonic
from types import FrameType
from typing import Any

ASKING = (signal.SIGINT, signal.SIGTERM)
HANGING_UP = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()  # which Windows does not have
SIGNALS = (*ASKING, *HANGING_UP)

AGAIN = 1.0
"""Seconds after the first signal from which Ctrl-C counts as a second request.  `timeout`, systemd
and torchrun send two signals at once: to a process and to its group, or of two kinds."""


class Stopped(KeyboardInterrupt):
    """Error for a run that was stopped by a signal, after it saved a checkpoint.

    Attributes:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return f"{name} stopped the run, which is saved: netspec.resume continues it"


class Stopping:
    """A context that stores the first signal in ``asked``; a later Ctrl-C ends the process.

    SIGHUP stays ignored if it was ignored before, so that ``nohup`` works.

    Python handles signals only in the main thread; in other threads ``asked`` stays 0.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            ignored = [n for n in HANGING_UP if signal.getsignal(n) == signal.SIG_IGN]
            for number in set(SIGNALS).difference(ignored):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        if not self.asked:
            self.asked, self._since = number, monotonic()
        elif number == signal.SIGINT and monotonic() > self._since + AGAIN:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

"""Ctrl-C, SIGTERM and SIGHUP, which ask a run to save what it has."""

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
"""Seconds after which another Ctrl-C is a second one.  `timeout`, systemd and torchrun send two
signals, one right after the other: to a process and to its group, or two kinds of them."""


class Stopped(KeyboardInterrupt):
    """A run that was asked to end, and has saved where it is.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stopping:
    """Note the first signal in ``asked`` meanwhile; a later Ctrl-C ends the process as usual.

    SIGHUP stays ignored where it is, as ``nohup`` has it.

    Only the main thread of a process receives signals; in other threads nothing is noted.
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

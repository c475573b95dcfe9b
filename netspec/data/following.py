"""Processes that do a part of the work of another one, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_the_parent() -> None:
    """End this process when the one that asked for it ends, however it does: killed, it tells none.

    A process of a pool would wait for work forever, and one from a server sees the server alive.
    """
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

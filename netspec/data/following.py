"""Worker processes that end when their parent process ends."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_the_parent() -> None:
    """End this process when the process that started it ends, even if that is killed.

    A killed process cannot stop its workers.  Without this, a worker of a pool would wait for work
    forever.  A worker from a fork server has the server as its parent, which stays alive.
    """
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

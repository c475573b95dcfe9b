"""Run the command line: ``netspec``, or ``python -m netspec``."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading

from netspec.cli import main

GC_THRESHOLD = 100_000
"""The number of new objects after which the garbage collector runs.

Imports, also that of PyTorch, make a million objects that stay, and each collection visits them.
"""


def run() -> None:
    """Run a command, then end the process without freeing each object by itself.

    With PyTorch loaded, freeing them takes 0.35 s.  Nothing is lost: commands close their files,
    functions registered with ``atexit`` run, and output is flushed.
    """
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
    try:
        main(prog_name="netspec")
    except SystemExit as end:
        if not isinstance(end.code, int) or not _has_only_daemon_threads() or _is_watched():
            raise
        code = end.code
    # Outside of the block above, because the error there keeps the objects of all its frames.
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # None if the caller closed it
                stream.flush()
    except (OSError, ValueError):  # Python reports it when it ends by itself
        sys.exit(code)
    os._exit(code)


def _has_only_daemon_threads() -> bool:
    """Return True if Python would wait for no other thread."""
    return all(t.daemon for t in threading.enumerate() if t is not threading.main_thread())


def _is_watched() -> bool:
    """Return True under a debugger or profiler, or ``python -i``, which go on after the command."""
    return bool(sys.gettrace() or sys.getprofile() or sys.flags.inspect)


if __name__ == "__main__":
    run()

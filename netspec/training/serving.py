"""Imported only by the server from which workers are forked, before anything else: it ignores the
signals that ask a run to stop, and so do its children.

They reach every process of a group, a terminal or a job, and what becomes of the workers is left to
the process that trains.  That one starts the server with these signals blocked, so that none comes
too early.
"""

from __future__ import annotations

import signal

from netspec.training.stopping import SIGNALS

for number in SIGNALS:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

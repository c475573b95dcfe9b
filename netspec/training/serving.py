"""Ignore the signals that stop a run.  Only the server that forks workers imports this module.

A terminal or a job scheduler sends such a signal to every process of the run.  Only the training
process may act on it: it saves a checkpoint and then stops the workers.  The server imports this
module before anything else, and its children inherit the setting.  The training process starts the
server with the signals blocked, so that none arrives before this module is imported.
"""

from __future__ import annotations

import signal

from netspec.training.stopping import SIGNALS

for number in SIGNALS:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

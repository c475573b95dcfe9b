"""Processes of a pool end with the one that made it, also where that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLED = """
import multiprocessing, os, signal
from concurrent.futures import ProcessPoolExecutor
from netspec.data import packing

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, context, initializer=packing._begin, initargs=(None,))
    print(pool.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_a_pool_that_packs_ends_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    told = subprocess.run(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
        timeout=60,
    )
    assert told.returncode == -signal.SIGKILL
    place = Path("/proc", told.stdout.decode().strip())
    until = time.monotonic() + 10
    while place.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not place.exists()

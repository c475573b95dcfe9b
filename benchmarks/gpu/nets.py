"""Time a net by several engines, each in a process of its own, in turns.

    python -m benchmarks.gpu.nets NET BATCH ENGINE ...

Processes do not share cuDNN's plans, memory or errors.  They load at the same time, compile one
after another, because compiling measures, and then take turns, so that changes of the clock rate
affect all of them.  An engine that is not ready in time is named, and the others are timed; then
the stage fails, so that it is tried once more, with what the engine has stored.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.gpu.journal import Log, left
from benchmarks.gpu.processes import GRACE, kill, new_mark
from netspec.timing.measure import in_milliseconds
from netspec.timing.timing import timing

ROUNDS = 5
TURNS = 6.0
"""Seconds before the limit at which turns begin, with the engines that are ready."""
SHARE = 8.0
"""Seconds that are kept for each engine that compiles later: one that hangs must not cost them."""

ROOT = Path(__file__).parents[2]


class Child:
    """An engine in a process; it answers each word that it is sent with a line of JSON."""

    def __init__(self, command: Sequence[str]) -> None:
        self.mark, marks = new_mark()
        how: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        how |= {"cwd": ROOT, "env": os.environ | marks, "start_new_session": True}
        self.process = subprocess.Popen(command, **how)
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            with suppress(ValueError):
                self.answers.put(json.loads(line))
        self.answers.put({"error": f"its process ended with code {self.process.wait()}"})

    def ask(self, word: str, limit: float) -> dict[str, Any]:
        """Return the answer to a word; after ``limit`` seconds, the error."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it has ended: its last answer says how
            self.process.stdin.write(f"{word}\n")
            self.process.stdin.flush()
        try:
            return self.answers.get(timeout=max(limit, 0.01))
        except queue.Empty:
            return {"error": f"no answer to {word!r} in time", "is_late": True}

    def end(self) -> None:
        """Kill the process and what it started; one that waits for a hung driver is left alone."""
        kill(self.process, self.mark)
        self._reader.join(GRACE)
        if not self._reader.is_alive():
            for pipe in (self.process.stdin, self.process.stdout):
                with suppress(OSError):  # a word that was never read
                    if pipe is not None:
                        pipe.close()


def timed(
    children: Mapping[str, Child], deadline: float, rounds: int = ROUNDS, share: float = SHARE
) -> dict[str, dict[str, Any]]:
    """Return the result of each engine: figures of its compilation, and its times in turns.

    Engines that have not answered ``TURNS`` seconds before the deadline are not waited for.
    """
    entries: dict[str, dict[str, Any]] = {}
    for later, (name, child) in zip(range(len(children))[::-1], children.items(), strict=True):
        kept = TURNS + later * share
        entries[name] = child.ask("compile", deadline - kept - time.monotonic())
        if "error" in entries[name]:
            child.end()  # it must not use the GPU while the others are timed
    ready = [name for name, entry in entries.items() if "error" not in entry]
    samples: dict[str, list[float]] = {name: [] for name in ready}
    for number in range(-1, rounds):
        first = number % len(ready) if ready else 0
        for name in ready[first:] + ready[:first]:
            if "error" in entries[name]:
                continue
            answer = children[name].ask("turn", deadline - time.monotonic())
            if "error" in answer:
                entries[name] |= answer
            elif number >= 0:
                samples[name].append(answer["seconds"])
    for name, taken in samples.items():
        if taken:
            entries[name] |= in_milliseconds(timing(taken)) | {"rounds": len(taken)}
    return entries


def main() -> int:
    net, batch, *engines = sys.argv[1:]
    log = Log.of_environment()
    deadline = time.monotonic() + left() - 2
    command = [sys.executable, "-m", "benchmarks.gpu.engine"]
    children = {name: Child([*command, name, net, batch]) for name in engines}
    try:
        entries = timed(children, deadline)
    finally:
        for child in children.values():
            child.end()
    for name, entry in entries.items():
        log.result(f"{net} {batch} {name}", net=net, batch=int(batch), engine=name, **entry)
    is_timed = any("median_ms" in entry for entry in entries.values())
    return 0 if is_timed and not any(entry.get("is_late") for entry in entries.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

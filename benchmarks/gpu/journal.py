"""The journal of a run: one file to which every process appends JSON lines at once.

A line is complete or missing: it is written by one call, to a file opened for appending, and
synchronised.  So a process that dies loses nothing that another one found.

Kinds of lines, each with the ``stage`` and the time ``at``:

| kind | meaning |
|---|---|
| ``begin``, ``end`` | a stage begins; it ended, with ``outcome`` and ``seconds`` |
| ``started`` | a case of the stage is next: without a result, it ended its process |
| ``result`` | the figures of a case; ``wrong`` or ``error`` is a sentence |
| ``call`` | one run of the list: its budget, its seconds, and the stages that it left out |
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

NAME = "results.jsonl"
FOLDER, STAGE, END = "NETSPEC_GPU_FOLDER", "NETSPEC_GPU_STAGE", "NETSPEC_GPU_END"
"""Variables of the environment of a stage: the output folder, its name, and the time on the
monotonic clock, which all processes share, when it is killed."""

TRIES = 2
"""A stage or a case that failed twice is not tried again."""

Line = dict[str, Any]


class DamagedJournal(ValueError):
    """A file that is not a journal, or was changed by hand."""


class Journal:
    """The journal in an output folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME

    def add(self, kind: str, stage: str, **values: Any) -> None:
        """Append a line and wait until it is on disk."""
        line = {"kind": kind, "stage": stage, "at": round(time.time(), 3), **values}
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(file).st_size
            is_cut_off = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            text = json.dumps(finite(line), allow_nan=False)
            os.write(file, b"\n" * is_cut_off + text.encode() + b"\n")
            os.fsync(file)
        finally:
            os.close(file)

    def lines(self, stage: str | None = None, kind: str | None = None) -> list[Line]:
        """Return the lines of a stage and a kind, by default all; incomplete ones are skipped.

        Raises:
            DamagedJournal: a complete line was not written by :meth:`add`.
        """
        if not self.path.exists():
            return []
        lines = []
        for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the machine went away while it was written
            if not isinstance(line, dict) or not {"kind", "stage", "at"} <= line.keys():
                raise DamagedJournal(f"{self.path} has a line that is not of a run: {text[:60]}")
            if stage in (None, line["stage"]) and kind in (None, line["kind"]):
                lines.append(line)
        return lines


def finite(value: Any) -> Any:
    """Return a value of JSON, which does not have infinity and NaN: they become null."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value


class Log:
    """The part of the journal that belongs to one stage, for the program of the stage."""

    def __init__(self, journal: Journal, stage: str) -> None:
        self.journal, self.stage = journal, stage

    @staticmethod
    def of_environment() -> Log:
        """Return the log that the runner chose; without a runner, one in ``build/gpu``."""
        folder = Path(os.environ.get(FOLDER, "build/gpu"))
        return Log(Journal(folder), os.environ.get(STAGE, "alone"))

    def cases(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the cases without a result, and note each one as started before it is yielded.

        A case that was started before and has no result ended its process: it is yielded after
        those that were never started.  The third time, that is its result.
        """
        names = list(names)
        done = {line["case"] for line in self.journal.lines(self.stage, "result")}
        tried = [line["case"] for line in self.journal.lines(self.stage, "started")]
        for name in sorted((name for name in names if name not in done), key=tried.count):
            if tried.count(name) == TRIES:
                self.result(name, error="it ended its process, or the time was over, twice")
                continue
            self.journal.add("started", self.stage, case=name)
            yield name

    def result(self, case: str, **values: Any) -> None:
        """Append the result of a case."""
        self.journal.add("result", self.stage, case=case, **values)


def left(default: float = 60.0) -> float:
    """Return the seconds until this stage is killed."""
    now = time.monotonic()
    return float(os.environ.get(END, now + default)) - now

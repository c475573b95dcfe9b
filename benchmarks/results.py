"""Results on disk: one JSON file per processor, replaced atomically after each case."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from netspec.files.writing import write_whole

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "results"

LEFT = 3
"""The exit code of a benchmark that is not done yet and must be run again."""
SOURCES = (".py", ".net", ".lark")

Entry = dict[str, Any]


def digest(*folders: str) -> str:
    """Return a digest of all sources in folders; results of older sources have another digest."""
    hasher = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.*")):
        if path.suffix in SOURCES:
            hasher.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return hasher.hexdigest()[:16]


def path_for(processor: str, folder: Path = FOLDER, kind: str = "kernels") -> Path:
    return folder / f"{kind}-{re.sub(r'[^a-z0-9]+', '-', processor.lower()).strip('-')}.json"


def nets_path(machine: Entry, folder: Path = FOLDER) -> Path:
    """Return the file of whole nets on a CPU, one for each number of threads."""
    return path_for(f"{machine['cpu']} {threads(machine)}", folder, "nets")


def threads(machine: Entry) -> str:
    """Return the number of threads of a machine in words."""
    return "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"


def write(path: Path, data: Entry) -> None:
    """Replace a file in one step: after an interruption the old file is still complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(data, indent=1).encode() + b"\n")


class Results:
    """The results of one machine.

    Results of another driver or version in the file are dropped, because their times cannot be
    compared; ``dropped`` is their number.
    """

    def __init__(self, path: Path, machine: dict[str, str], kernels: str) -> None:
        self.path, self.kernels = path, kernels
        self.data: Entry = {"machine": machine, "date": "", "constants": {}}
        self.data |= {"cases": {}, "tuned": {}}
        self.dropped = 0
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["machine"] == machine:
                self.data = stored
            else:
                self.dropped = len(stored["cases"]) + len(stored["tuned"])

    def has(self, table: str, key: str, names: Iterable[str]) -> bool:
        """Return True if a case has results of these engines with the current kernels."""
        entry = self.data[table].get(key)
        if entry is None or entry["kernels"] != self.kernels:
            return False
        return {*names} <= {*entry["engines"]}

    def put(self, table: str, key: str, entry: Entry) -> None:
        """Store the result of a case on disk at once."""
        self.data[table][key] = entry | {"kernels": self.kernels}
        self.save()

    def save(self) -> None:
        self.data["date"] = date.today().isoformat()
        write(self.path, self.data)

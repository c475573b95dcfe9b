"""Results on disk: one JSON file a processor, written whole after each case, or not at all."""

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
"""The exit code of a benchmark that has more to do: run it again."""
SOURCES = (".py", ".net", ".lark")

Entry = dict[str, Any]


def digest(*folders: str) -> str:
    """Return a digest of all sources in these folders; older results have another one."""
    hasher = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.*")):
        if path.suffix in SOURCES:
            hasher.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return hasher.hexdigest()[:16]


def path_for(processor: str, folder: Path = FOLDER, kind: str = "kernels") -> Path:
    return folder / f"{kind}-{re.sub(r'[^a-z0-9]+', '-', processor.lower()).strip('-')}.json"


def write(path: Path, data: Entry) -> None:
    """Replace the file in one step: an interruption leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(data, indent=1).encode() + b"\n")


class Results:
    """The results of one machine.

    Those of another driver or version in its file are dropped, since figures of two machines do
    not stand beside each other; ``dropped`` counts them.
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
        """Return whether these engines were run on a case, with the kernels as they are now."""
        entry = self.data[table].get(key)
        if entry is None or entry["kernels"] != self.kernels:
            return False
        return {*names} <= {*entry["engines"]}

    def put(self, table: str, key: str, entry: Entry) -> None:
        """Keep the results of a case, on disk at once."""
        self.data[table][key] = entry | {"kernels": self.kernels}
        self.save()

    def save(self) -> None:
        self.data["date"] = date.today().isoformat()
        write(self.path, self.data)

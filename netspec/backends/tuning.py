"""Measured times, stored on disk so that each problem is measured once.

They are in ``$XDG_CACHE_HOME/netspec`` or ``~/.cache/netspec``, in one JSON file per machine,
version and kernel source.  Times of other machines, versions or sources are not used, and a warning
says so.  If a file is deleted, its problems are measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from netspec.errors import DataError
from netspec.files.members import either, number, read, record, table, text
from netspec.files.writing import write_whole
from netspec.ir.words import plural
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Implementation, Problem

OUTCOME = either(
    "a time above 0, or the reason of a failure",
    number(0, 1e6).where(lambda time: time > 0, "a time above 0"),
    text(),
)
KEPT = record(lambda made_with, works: works, made_with=table(text()), works=table(table(OUTCOME)))
"""The format of a file of measurements; it is read as the outcomes of each problem."""

_lock = Lock()
"""Held while a problem is measured: two measurements at the same time would disturb each other,
and each would overwrite the file of the other."""


class Tuning:
    """The measured times of one backend.

    Args:
        backend: its name.
        made_with: everything that the times depend on except the problem: sources, versions, the
            device.
    """

    def __init__(self, backend: str, made_with: Mapping[str, str]) -> None:
        text = json.dumps(made_with, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._backend = backend
        self.path = folder() / f"{backend}-{key}.json"
        self._made_with = dict(made_with)

    def times(
        self,
        problem: Problem,
        implementations: Sequence[Implementation],
        measure: Callable[[], Outcomes],
    ) -> Outcomes:
        """Return the outcome of each implementation, from the file or measured and stored.

        A file that cannot be read or written is ignored with a warning.
        """
        name, names = described(problem), [one.name for one in implementations]
        with _lock:
            outcomes = self._read().get(name, {})
            if not outcomes.keys() >= set(names):
                self._report_others()
                outcomes = measure()
                # Read again: another process may have written during the measurement.
                self._write({**self._read(), name: outcomes})
        return {implementation: outcomes[implementation] for implementation in names}

    def _report_others(self) -> None:
        """Warn once, before the first file of this kind is written, that others are not used."""
        if os.path.lexists(self.path):
            return
        others = len(list(self.path.parent.glob(f"{self._backend}-*.json")))
        if others:
            warnings.warn(
                f"stored times of another version, source or machine are not used "
                f"({others} {plural('file', others)} in {self.path.parent}): measuring again",
                stacklevel=2,
            )

    def _read(self) -> dict[str, Outcomes]:
        if not os.path.lexists(self.path):
            return {}
        try:
            return read(self.path, KEPT, "measured again")
        except DataError as error:
            warnings.warn(f"stored measurements are not used: {error}", stacklevel=2)
            return {}

    def _write(self, outcomes: Mapping[str, Outcomes]) -> None:
        contents = {"made_with": self._made_with, "works": outcomes}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(contents, indent=1, allow_nan=False).encode())
        except (OSError, DataError) as error:
            warnings.warn(f"measurements cannot be stored: {error}", stacklevel=2)


def described(problem: Problem) -> str:
    """Return a problem in one line: operator, sizes, batch and type; and its places, if not whole
    buffers."""
    sizes = ", ".join(map(str, problem.inputs))
    line = f"{problem.op!r} of {sizes} at batch {problem.batch} in {problem.dtype}"
    if problem.places is None:
        return line
    reads, writes = (
        ", ".join(f"{place.count} from {place.start} of {place.width}" for place in places)
        for places in (problem.places.reads, problem.places.writes)
    )
    return f"{line}, reads channels {reads}, writes {writes}"


def digest(*packages: str) -> str:
    """Return a digest of the sources of packages: name and content of every Python file."""
    hashed = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        assert spec is not None, package
        for location in spec.submodule_search_locations or ():
            for file in sorted(Path(location).rglob("*.py")):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                hashed.update(f"{package} {file.relative_to(location)} {content}\n".encode())
    return hashed.hexdigest()


def folder() -> Path:
    """Return the folder in which measurements are stored."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "netspec"

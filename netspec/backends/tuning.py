"""Times that were measured, kept on disk, so that each problem is measured once.

They lie in ``$XDG_CACHE_HOME/netspec`` or ``~/.cache/netspec``, a JSON file for each machine,
version and kernel source.  What was measured with others is not used, and one line says so.
Deleting a file only means that its problems are measured again.
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
from netspec.files.members import number, optional, read, record, table, text
from netspec.files.writing import write_whole
from netspec.ir.words import plural
from netspec.lowering.implementation import Implementation, Problem

Times = dict[str, float | None]
"""Seconds by implementation; None for one that turned out not to run."""

KEPT = record(
    lambda made_with, works: works,
    made_with=table(text()),
    works=table(table(optional(number(0, 1e6).where(lambda time: time > 0, "a time above 0")))),
)
"""A file of measurements, as the times of each problem."""

_lock = Lock()


class Tuning:
    """The times of one backend, made with everything that they depend on.

    Args:
        backend: its name.
        made_with: what the times depend on besides the problem: sources, versions, the device.
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
        measure: Callable[[], dict[str, float]],
    ) -> dict[str, float]:
        """The seconds of each implementation: as they were kept, or else measured, and kept.

        A file that cannot be read or written is passed over with a warning.
        """
        name, names = (
            described(problem),
            {implementation.name for implementation in implementations},
        )
        with _lock:
            times = self._read().get(name, {})
            if not names <= times.keys():
                self._report_others()
                measured = measure()
                times = {implementation: measured.get(implementation) for implementation in names}
                self._write({**self._read(), name: times})
        return {
            implementation: time
            for implementation, time in times.items()
            if implementation in names and time is not None
        }

    def _report_others(self) -> None:
        """Say once, before the first file of this kind is written, that others are not used."""
        if os.path.lexists(self.path):
            return
        others = len(list(self.path.parent.glob(f"{self._backend}-*.json")))
        if others:
            warnings.warn(
                f"times that were measured with another version, source or machine are not used "
                f"({others} {plural('file', others)} in {self.path.parent}): measuring again",
                stacklevel=2,
            )

    def _read(self) -> dict[str, Times]:
        if not os.path.lexists(self.path):
            return {}
        try:
            return read(self.path, KEPT, "measured again")
        except DataError as error:
            warnings.warn(f"no measurements are used: {error}", stacklevel=2)
            return {}

    def _write(self, times: Mapping[str, Times]) -> None:
        contents = {"made_with": self._made_with, "works": times}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(contents, indent=1, allow_nan=False).encode())
        except (OSError, DataError) as error:
            warnings.warn(f"measurements are not kept: {error}", stacklevel=2)


def described(problem: Problem) -> str:
    """A problem in one line: operator, sizes, batch and type."""
    sizes = ", ".join(map(str, problem.inputs))
    return f"{problem.op!r} of {sizes} at batch {problem.batch} in {problem.dtype}"


def digest(*packages: str) -> str:
    """Return a digest of the sources of packages: the name and content of every file of Python."""
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
    """Return the folder that measurements are kept in."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "netspec"

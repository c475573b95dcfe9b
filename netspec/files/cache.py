"""Measurements on disk, and digests of the sources that they depend on.

They are in ``$XDG_CACHE_HOME/netspec`` or ``~/.cache/netspec``, in one JSON file per kind, machine,
version and source.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Generic, TypeVar

from netspec.errors import DataError
from netspec.files.members import Kind, read, record, table, text
from netspec.files.writing import write_whole

T = TypeVar("T")


class Store(Generic[T]):
    """A file of measurements; one that cannot be read or written is ignored with a warning.

    Args:
        name: the kind of measurements, the beginning of the file's name.
        made_with: everything that they depend on: sources, versions, the device.
        measurement: the kind of one measurement.
    """

    def __init__(self, name: str, made_with: Mapping[str, str], measurement: Kind[T]) -> None:
        key = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()[:16]
        self.path = folder() / f"{name}-{key}.json"
        self._made_with = dict(made_with)
        self._kind = record(
            lambda made_with, works: works, made_with=table(text()), works=table(measurement)
        )

    def read(self) -> dict[str, T]:
        """Return the measurements by what was measured."""
        if not os.path.lexists(self.path):
            return {}
        try:
            return read(self.path, self._kind, "measured again")
        except DataError as error:
            warnings.warn(f"stored measurements are not used: {error}", stacklevel=2)
            return {}

    def write(self, measurements: Mapping[str, T]) -> None:
        contents = {"made_with": self._made_with, "works": measurements}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(contents, indent=1, allow_nan=False).encode())
        except (OSError, DataError) as error:
            warnings.warn(f"measurements cannot be stored: {error}", stacklevel=2)


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

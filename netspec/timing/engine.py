"""The interface of engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module, metadata
from typing import ClassVar

from netspec.errors import DataError
from netspec.timing.case import Case
from netspec.timing.timing import Call


class Engine(ABC):
    """A program that runs nets: netspec or a peer.

    ``prepare`` is not timed; ``compile`` is.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    """The packages that it needs, by the name that both pip and Python use.  The version of the
    first one is the engine's."""
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    """The devices on which it runs, by their names in ``netspec.timing.DEVICES``."""
    note: str | None = None
    """What a reader of the figures has to know; known after ``compile``."""

    def alternative(self, case: Case) -> Engine | None:
        """Return the same engine with other settings, to use if the outputs of this one are wrong;
        None if there is none."""
        return None

    @property
    def version(self) -> str | None:
        """The version of the first package, or None if it is not installed."""
        try:
            return metadata.version(self.packages[0])
        except metadata.PackageNotFoundError:
            return None

    def prepare(self, case: Case) -> None:
        """Import the packages of the engine and write the files that it reads.

        Raises:
            DataError: a package is not installed, or the engine does not run on the device.
        """
        if case.device not in self.devices:
            raise DataError(f"runs on {' and '.join(self.devices)}, not on {case.device}")
        missing = [package for package in self.packages if not _imports(package)]
        if missing:
            raise DataError(f"not installed: pip install {' '.join(missing)}")

    @abstractmethod
    def compile(self, case: Case) -> Call:
        """Return a call that runs the net once on the images of the case."""


def _imports(package: str) -> bool:
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # the package is installed, but one that it imports is not
            raise
        return False
    return True

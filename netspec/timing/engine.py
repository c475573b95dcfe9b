"""An engine: it prepares a case, which is not measured, then compiles the case into a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module, metadata
from typing import ClassVar

from netspec.errors import DataError
from netspec.timing.case import Case
from netspec.timing.timing import Call


class Engine(ABC):
    """A way to run a net: netspec or a peer."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    """The packages it needs, as both pip and Python name them; the first has its version."""
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    """The names in ``netspec.timing.DEVICES`` of the devices it runs on."""

    @property
    def version(self) -> str | None:
        """The version of the first package; None if it is not installed."""
        try:
            return metadata.version(self.packages[0])
        except metadata.PackageNotFoundError:
            return None

    def prepare(self, case: Case) -> None:
        """Import the packages of the engine; raise DataError with the names of missing ones."""
        if case.device not in self.devices:
            raise DataError(f"runs on {' and '.join(self.devices)}, not on {case.device}")
        missing = [package for package in self.packages if not _imports(package)]
        if missing:
            raise DataError(f"not installed: pip install {' '.join(missing)}")

    @abstractmethod
    def compile(self, case: Case) -> Call:
        """Return a call that runs the images of the case, with all weights in place."""


def _imports(package: str) -> bool:
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is there, and lacks something itself
            raise
        return False
    return True

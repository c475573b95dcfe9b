"""What an engine is: it prepares what is not its own work, then compiles a case into a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module, metadata
from typing import ClassVar

from netspec.bench.case import Case
from netspec.bench.timing import Call
from netspec.errors import DataError


class Engine(ABC):
    """What runs a net."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    """What it needs, as both pip and Python call it; the first one's version is the engine's."""
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    """Where it runs, as ``netspec.bench.DEVICES`` calls it."""

    @property
    def version(self) -> str | None:
        """None when it is not installed."""
        try:
            return metadata.version(self.packages[0])
        except metadata.PackageNotFoundError:
            return None

    def prepare(self, case: Case) -> None:
        """Import what the engine needs; DataError names what is missing."""
        if case.device not in self.devices:
            raise DataError(f"runs on {' and '.join(self.devices)}, not on {case.device}")
        missing = [package for package in self.packages if not _imports(package)]
        if missing:
            raise DataError(f"not installed: pip install {' '.join(missing)}")

    @abstractmethod
    def compile(self, case: Case) -> Call:
        """Weights and all, up to a call that runs the images of the case."""


def _imports(package: str) -> bool:
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is there, and lacks something itself
            raise
        return False
    return True

"""Names that modules had before they moved: pickles of compiled nets name the functions in them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "netspec.backends.compiled": "netspec.runtime.earlier.compiled",
    "netspec.backends.reference": "netspec.runtime.earlier.reference",
}
"""The module of today by the name that it had."""


class Finder(MetaPathFinder):
    """Finds a module that moved, so that its old name and its new one mean the same module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load it, or None if the name is of no module that moved."""
        return ModuleSpec(fullname, _Moved(MOVED[fullname])) if fullname in MOVED else None


class _Moved(Loader):
    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it has run under its name of today, whose spec it keeps."""
        module.__spec__ = self._spec

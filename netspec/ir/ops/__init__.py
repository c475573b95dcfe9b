"""The operators, one a room.  A new file here is a new operator; nothing else needs to know it."""

from __future__ import annotations

import importlib
import pkgutil

from netspec.ir.operator import Operator


def _operators() -> dict[str, type[Operator]]:
    operators: dict[str, type[Operator]] = {}
    for room in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{room.name}")
        for candidate in vars(module).values():
            is_room = isinstance(candidate, type) and issubclass(candidate, Operator)
            if is_room and candidate.__module__ == module.__name__:
                operators[candidate.name] = candidate
    return operators


OPERATORS: dict[str, type[Operator]] = _operators()
"""Every operator by its word in the language."""

"""The operators, one a room.  A new file here is a new operator; nothing else needs to know it."""

from __future__ import annotations

import importlib
import pkgutil

from netspec.ir.operator import Operator


def _furnish() -> dict[str, type[Operator]]:
    found: dict[str, type[Operator]] = {}
    for room in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{room.name}")
        for thing in vars(module).values():
            is_room = isinstance(thing, type) and issubclass(thing, Operator)
            if is_room and thing.__module__ == module.__name__:
                found[thing.name] = thing
    return found


OPERATORS: dict[str, type[Operator]] = _furnish()
"""Every operator by its word in the language."""

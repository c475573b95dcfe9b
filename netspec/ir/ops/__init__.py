"""The operators, one per file.  A new file in this folder is a new operator; no list names them."""

from __future__ import annotations

import importlib
import pkgutil

from netspec.ir.operator import Operator


def _operators() -> dict[str, type[Operator]]:
    operators: dict[str, type[Operator]] = {}
    for file in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for candidate in vars(module).values():
            is_operator = isinstance(candidate, type) and issubclass(candidate, Operator)
            if is_operator and candidate.__module__ == module.__name__:
                operators[candidate.name] = candidate
    return operators


OPERATORS: dict[str, type[Operator]] = _operators()
"""Every operator by its word in the language."""

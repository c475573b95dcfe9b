"""Triton's interpreter, which need not look for the language's functions at every call."""

from __future__ import annotations

import inspect
from typing import Any

from triton.language.core import is_builtin
from triton.runtime import interpreter

_NAMES: dict[Any, list[str]] = {}


def remember_builtins() -> None:
    """Have the interpreter look once at what a module or class of the language has.

    It replaces those functions at each call of a kernel, and of each function that a kernel calls,
    and inspects all members to find them: three quarters of the time of these tests.
    """
    interpreter._patch_builtin = _patch


def _patch(owner: Any, builder: Any, scope: Any) -> None:
    if owner not in _NAMES:
        _NAMES[owner] = [name for name, member in inspect.getmembers(owner) if is_builtin(member)]
    names = _NAMES[owner]
    if names and is_builtin(getattr(owner, names[-1])):  # all are replaced at once
        for name in names:
            interpreter._patch_attr(owner, name, getattr(owner, name), builder, scope)

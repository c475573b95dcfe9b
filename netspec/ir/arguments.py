"""Checks of the arguments of public functions: each says what was expected."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral
from pathlib import Path

from netspec.errors import ArgumentError, require_type
from netspec.ir.guess import did_you_mean

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""The types that a net is compiled for."""


def choice(argument: str, value: object, known: Iterable[str]) -> str:
    """Return ``value``, which is one of the ``known`` names.

    Raises:
        TypeError: it is not a string.
        ValueError: it is not one of the names.
    """
    names = list(known)
    listed = ", ".join(names)
    require_type(argument, value, str, f"one of {listed}")
    assert isinstance(value, str)
    if value not in names:
        help = did_you_mean(value, names)
        raise ArgumentError(f"{argument} must be one of {listed}, not {value!r}" + _after(help))
    return value


def whole(argument: str, value: object, least: int, most: int) -> int:
    """Return ``value`` as an int; it is an integer from ``least`` to ``most``.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is out of range.
    """
    expected = f"an integer from {least:,} to {most:,}"
    if isinstance(value, bool):  # which Python counts among the integers
        raise TypeError(f"{argument} must be {expected}, not {value}")
    require_type(argument, value, Integral, expected)
    assert isinstance(value, Integral)
    number = int(value)  # of NumPy's integers
    if not least <= number <= most:
        raise ArgumentError(f"{argument} must be {expected}, not {number:,}")
    return number


def wholes(argument: str, values: object, least: int, most: int) -> list[int]:
    """Return several values as a list of ints; each is an integer from ``least`` to ``most``.

    Raises:
        TypeError: they are not several, or one is not an integer.
        ValueError: one is out of range.
    """
    require_type(argument, values, Iterable, "a sequence of integers")
    assert isinstance(values, Iterable)
    return [whole(f"each of {argument}", value, least, most) for value in values]


def place(argument: str, value: object, expected: str = "a path") -> Path:
    """Return a path.

    Raises:
        TypeError: ``value`` is not a string or a path.
        ValueError: it is empty.
    """
    require_type(argument, value, (str, Path), expected)
    assert isinstance(value, str | Path)
    if not os.fspath(value):
        raise ArgumentError(f"{argument} must be {expected}, not an empty string")
    return Path(value)


def _after(help: str) -> str:
    return f"; {help}" if help else ""

"""The values of the language: numbers, kernels, words, tuples, and blocks as arguments."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from netspec.shapes import Kernel


class Word(NamedTuple):
    """A name that stands for itself: ``on``, ``ceil``, ``same``, the name of an operator."""

    text: str


class BlockName(NamedTuple):
    """A block, passed as an argument."""

    text: str


Value = int | Fraction | Kernel | Word | BlockName | tuple[int | Fraction, ...]

ON = Word("on")
OFF = Word("off")


def show(value: Value) -> str:
    """A value as a person would write it."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Fraction):
        return f"{float(value):g}"
    if isinstance(value, Kernel):
        return str(value)
    if isinstance(value, Word | BlockName):
        return value.text
    return f"({', '.join(map(show, value))})"


def describe(value: Value) -> str:
    """A value with its kind, for messages: ``the kernel 3x3/2``."""
    if isinstance(value, Kernel):
        return f"the kernel {show(value)}"
    if isinstance(value, Word):
        return f"the word `{value.text}`"
    if isinstance(value, BlockName):
        return f"the block `{value.text}`"
    return show(value)

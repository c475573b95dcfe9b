"""The values of the language: numbers, kernels, words, tuples, blocks, tables and codes."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from netspec.ir.shapes import Kernel
from netspec.ir.symbols import is_symbolic


class Word(NamedTuple):
    """A word of the language: ``on``, ``ceil``, ``same``, the name of an operator."""

    text: str


class BlockName(NamedTuple):
    """A block as an argument; ``macro`` is the definition that the name refers to."""

    text: str
    macro: object = None


class Table(NamedTuple):
    """A connection table: ``rows[i][o]`` is True if output map o sees input map i."""

    name: str
    rows: tuple[tuple[bool, ...], ...]


class Codes(NamedTuple):
    """Patterns of +1 and -1, ``height`` x ``width`` each, row by row."""

    name: str
    height: int
    width: int
    pictures: tuple[tuple[int, ...], ...]


Value = int | Fraction | Kernel | Word | BlockName | Table | Codes | tuple[int | Fraction, ...]

ON = Word("on")
OFF = Word("off")


def show(value: Value) -> str:
    """Return a value as a spec would write it."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Fraction):
        return f"{float(value):g}"
    if isinstance(value, Kernel):
        return str(value)
    if isinstance(value, Word | BlockName):
        return value.text
    if isinstance(value, Table | Codes):
        return value.name
    if is_symbolic(value):
        return str(value)
    return f"({', '.join(map(show, value))})"


def describe(value: Value) -> str:
    """Return a value with its kind, for messages: ``the kernel 3x3/2``."""
    if isinstance(value, Kernel):
        return f"the kernel {show(value)}"
    if isinstance(value, Word):
        return f"the word `{value.text}`"
    if isinstance(value, BlockName):
        return f"the block `{value.text}`"
    if isinstance(value, Table):
        return f"the connection table `{value.name}`"
    if isinstance(value, Codes):
        return f"the codes `{value.name}`"
    if is_symbolic(value):
        return f"`{value}`, which has no value"
    return show(value)

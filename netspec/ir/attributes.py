"""Attributes of operators: how they are declared, and which values they accept.

An operator is a dataclass whose fields are declared with :func:`positional` and :func:`keyword`.
A :class:`Kind` converts a value of the language to the value of the field, or raises a ValueError
that says what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar, cast

from netspec.ir.shapes import Kernel
from netspec.ir.symbols import is_symbolic, may_count
from netspec.ir.values import Codes, Table, Value, Word

Padding = tuple[int, int, int, int] | str
"""(top, bottom, left, right), or ``"half"`` or ``"same"``."""


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        description: the accepted values, as a message or ``netspec ops`` says them.
        read: converts a value of the language; raises ValueError if it is not of this kind.
        words: the accepted words, if the kind is a choice of words.
    """

    description: str
    read: Callable[[Value], Any]
    words: tuple[str, ...] = ()

    def refuse(self) -> ValueError:
        """Return the error for a value that is not of this kind."""
        return ValueError(f"expected {self.description}")


@dataclass(frozen=True)
class Attribute:
    """One attribute of an operator, as ``netspec ops`` shows it."""

    name: str
    kind: Kind
    help: str
    is_positional: bool
    default: Any = MISSING

    @property
    def is_required(self) -> bool:
        return self.default is MISSING


class HasAttributes:
    """A frozen dataclass of attributes: an operator, or a step of a recipe."""

    name: ClassVar[str]
    """Its word in the language."""

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        """Return the contradictory or missing attributes as (code, attribute, reason)."""
        return iter(())

    @classmethod
    def written_mistakes(cls, written: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Return the mistakes that can only be seen in the attributes as the spec wrote them.

        An operator stores a canonical form: for example, it does not show that a stride was given
        twice.
        """
        return iter(())

    @classmethod
    @cache
    def attributes(cls) -> tuple[Attribute, ...]:
        """Return the attributes, positional ones first."""
        declared = [
            Attribute(f.name, default=f.default, **f.metadata)
            for f in fields(cls)  # type: ignore[arg-type]
            if f.metadata
        ]
        return tuple(sorted(declared, key=lambda a: not a.is_positional))


def positional(kind: Kind, help: str, default: Any = MISSING) -> Any:
    """Declare an attribute that may be given by position."""
    return _declare(kind, help, default, is_positional=True)


def keyword(kind: Kind, help: str, default: Any = MISSING) -> Any:
    """Declare an attribute that is given as ``key=value``."""
    return _declare(kind, help, default, is_positional=False)


def _declare(kind: Kind, help: str, default: Any, *, is_positional: bool) -> Any:
    metadata = {"kind": kind, "help": help, "is_positional": is_positional}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


# ------------------------------------------------------------------------------- kinds of values


def whole(minimum: int) -> Kind:
    """Return the kind of a whole number of at least ``minimum``, or of a symbol for one."""

    def read(value: Value) -> int:
        if is_symbolic(value) and may_count(value):
            return cast(int, value)
        if not isinstance(value, int) or value < minimum:
            raise kind.refuse()
        return value

    kind = Kind(f"a whole number of at least {minimum}", read)
    return kind


def number(minimum: float | None, maximum: float | None = None, *, above: bool = False) -> Kind:
    """Return the kind of a real number in [minimum, maximum), or (minimum, maximum) if ``above``.

    A bound of None is no bound.
    """

    def read(value: Value) -> float:
        if not isinstance(value, int | Fraction):
            raise kind.refuse()
        low = minimum is not None and (value <= minimum if above else value < minimum)
        if low or (maximum is not None and value >= maximum):
            raise kind.refuse()
        return float(value)

    words = ["a number"]
    if minimum is not None:
        words.append(f"{'above' if above else 'of at least'} {minimum:g}")
    if maximum is not None:
        words.append(f"and below {maximum:g}")
    kind = Kind(" ".join(words), read)
    return kind


def choice(*words: str) -> Kind:
    """Return the kind of a value that is one of these words."""

    def read(value: Value) -> str:
        if not isinstance(value, Word) or value.text not in words:
            raise kind.refuse()
        return value.text

    kind = Kind(f"{', '.join(words[:-1])} or {words[-1]}", read, words)
    return kind


def _read_flag(value: Value) -> bool:
    if value not in (Word("on"), Word("off")):
        raise FLAG.refuse()
    return value == Word("on")


def _read_odd(value: Value) -> int:
    if not isinstance(value, int) or value < 1 or value % 2 == 0:
        raise ODD.refuse()
    return value


def _read_kernel(value: Value) -> Kernel:
    if not isinstance(value, Kernel):
        raise KERNEL.refuse()
    if 0 in (value.height, value.width, value.channels, value.stride):
        raise ValueError("every number of a kernel must be at least 1")
    return value


def _read_pair(value: Value) -> tuple[int, int]:
    pair = _as_pair(value)
    if pair is None or min(pair) < 1:
        raise PAIR.refuse()
    return pair


def _read_padding(value: Value) -> Padding:
    if isinstance(value, Word) and value.text in ("half", "same"):
        return value.text
    return _as_sides(value, PADDING)


def _read_sides(value: Value) -> Padding:
    return _as_sides(value, SIDES)


def _as_sides(value: Value, kind: Kind) -> tuple[int, int, int, int]:
    if type(value) is tuple and len(value) == 4:
        sides = tuple(side for side in value if isinstance(side, int) and side >= 0)
        if len(sides) == 4:
            return sides[0], sides[1], sides[2], sides[3]
    pair = _as_pair(value)
    if pair is None or min(pair) < 0:
        raise kind.refuse()
    return pair[0], pair[0], pair[1], pair[1]


def _read_extra(value: Value) -> tuple[int, int]:
    pair = _as_pair(value)
    if pair is None or min(pair) < 0:
        raise EXTRA.refuse()
    return pair


def _as_pair(value: Value) -> tuple[int, int] | None:
    """Return (height, width) of one number for both or of a literal HxW; None for other values."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, Kernel) and value.channels is None and value.stride is None:
        return value.size
    return None


def _read_table(value: Value) -> Table:
    if not isinstance(value, Table):
        raise TABLE.refuse()
    return value


def _read_codes(value: Value) -> Codes:
    if not isinstance(value, Codes):
        raise CODES.refuse()
    return value


COUNT = whole(1)
TABLE = Kind("the name of a table drawn with `connect`", _read_table)
CODES = Kind("the name of pictures drawn with `codes`", _read_codes)
POSITIVE = number(0, above=True)
FLAG = Kind("on or off", _read_flag, ("on", "off"))
ODD = Kind("an odd whole number", _read_odd)
KERNEL = Kind("a kernel such as 3x3 or 11x11x3/4", _read_kernel)
PAIR = Kind("a whole number of at least 1, or HxW", _read_pair)
PADDING = Kind(
    "a whole number, HxW, (top, bottom, left, right), half or same", _read_padding, ("half", "same")
)
SIDES = Kind("a whole number, HxW or (top, bottom, left, right)", _read_sides)
EXTRA = Kind("a whole number, or HxW", _read_extra)
PROBABILITY = number(0, 1)
REAL = number(None)
ROUNDING = choice("floor", "ceil")

"""JSON files, read and checked by a declared schema.

A schema is a :class:`Kind`, composed of smaller ones::

    SHARD = record(Shard, images=whole(0), sha256=matching("[0-9a-f]{64}"), faults=many(text()))
    PACK = record(Pack, size=whole(1, 4096), shards=table(SHARD))
    pack = read(folder / "pack.json", PACK, "pack again")

The result has the declared types and ranges, and exactly the declared keys.  Anything else raises a
DataError of one sentence: ``pack.json is damaged: `shards["a.tar"].images` is -1, not a whole
number ...``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from netspec.errors import DataError
from netspec.files.reading import read_plain

LARGEST = 2**24
"""The default limit of a file in bytes.  Parsed JSON takes about 20 times the memory."""
LONGEST = 2**16
"""The default limit of a string in characters."""
MOST = sys.float_info.max

T = TypeVar("T")
U = TypeVar("U")


class Malformed(Exception):
    """A value is not of the declared kind.

    Args:
        at: the path of keys to the value; empty for the whole file.
        problem: the part of the message after the path: ``is -1, not a whole number ...``.
    """

    def __init__(self, at: str, problem: str) -> None:
        self.at, self.problem = at, problem
        super().__init__(f"`{at}` {problem}" if at else f"it {problem}")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of JSON value.

    Attributes:
        expected: the kind as messages describe it.
        take: checks a value, given its path of keys, and returns it as Python represents it; raises
            :class:`Malformed` if the value is of another kind.
    """

    expected: str
    take: Callable[[Any, str], T]

    def where(self, test: Callable[[T], bool], expected: str) -> Kind[T]:
        """Return the kind of those values of this kind that also pass a test."""

        def take(value: Any, at: str) -> T:
            converted = self.take(value, at)
            if not test(converted):
                raise _mismatch(value, at, expected)
            return converted

        return Kind(expected, take)

    def to(self, make: Callable[[T], U]) -> Kind[U]:
        """Return the kind with the same values, which are converted after they are checked."""
        return Kind(self.expected, lambda value, at: make(self.take(value, at)))


def read(path: Path, kind: Kind[T], advice: str, at_most: int = LARGEST) -> T:
    """Return the value in a JSON file, which must be a plain file.

    Args:
        path: of the file.
        kind: of the value.
        advice: how to fix a damaged file; the end of the message.
        at_most: the largest size in bytes.

    Raises:
        DataError: the file cannot be read, or its content is not of this kind.
    """
    return parsed(read_plain(path, at_most), str(path), kind, advice)


def parsed(data: bytes | bytearray, name: str, kind: Kind[T], advice: str) -> T:
    """Return the value of JSON from a file with this name.

    Raises:
        DataError: the content is not of this kind; the message begins with the name and ends with
            the advice.
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return kind.take(value, "")
    except UnicodeDecodeError as error:
        reason = f"is not JSON: byte {error.start:,} is not UTF-8"
    except UnicodeEncodeError:
        reason = "is damaged: it contains half of a surrogate pair, which is not text"
    except RecursionError:
        reason = "is not JSON that netspec wrote: it is nested too deeply"
    except Malformed as error:
        reason = error.problem if not error.at else f"is damaged: {error}"
    except ValueError as error:  # a JSONDecodeError, or a number of more than 4,300 digits
        reason = f"is not JSON: {str(error).partition(';')[0]}"
    raise DataError(f"{name} {reason}; {advice}") from None


# ------------------------------------------------------------------------------------------- kinds

ANYTHING: Kind[Any] = Kind("anything", lambda value, at: value)
"""Any JSON: for a part that is compared as text, or not used."""

TRUTH: Kind[bool] = ANYTHING.where(lambda value: isinstance(value, bool), "true or false")


def whole(least: int = -(2**63), most: int = 2**63 - 1) -> Kind[int]:
    """Return the kind of a whole number from ``least`` to ``most``."""
    return ANYTHING.where(
        lambda value: type(value) is int and least <= value <= most,
        f"a whole number from {least:,} to {most:,}",
    )


def number(least: float = -MOST, most: float = MOST) -> Kind[float]:
    """Return the kind of a finite number from ``least`` to ``most``."""
    expected = f"a number from {least:,g} to {most:,g}" if (least, most) != (-MOST, MOST) else ""
    return ANYTHING.where(
        lambda value: type(value) in (int, float) and least <= value <= most,
        expected or "a number",
    ).to(float)


def text(longest: int = LONGEST) -> Kind[str]:
    """Return the kind of a string of at most ``longest`` characters."""
    return ANYTHING.where(
        lambda value: isinstance(value, str) and len(value) <= longest,
        f"a text of at most {longest:,} characters",
    )


def matching(pattern: str, expected: str) -> Kind[str]:
    """Return the kind of a string that a regular expression matches from beginning to end."""
    return ANYTHING.where(
        lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, expected
    )


def one_of(*values: str) -> Kind[str]:
    """Return the kind of a string that is one of ``values``."""
    return ANYTHING.where(
        lambda value: isinstance(value, str) and value in values, f"one of {', '.join(values)}"
    )


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Return the kind of a value that may be null."""
    return Kind(
        f"{kind.expected}, or null",
        lambda value, at: None if value is None else kind.take(value, at),
    )


def either(expected: str, *kinds: Kind[Any]) -> Kind[Any]:
    """Return the kind of a value of any of ``kinds``; ``expected`` describes it in messages."""

    def take(value: Any, at: str) -> Any:
        for kind in kinds:
            with suppress(Malformed):
                return kind.take(value, at)
        raise _mismatch(value, at, expected)

    return Kind(expected, take)


def many(kind: Kind[T], count: int | None = None) -> Kind[tuple[T, ...]]:
    """Return the kind of a list of values of one kind, with ``count`` values if it is given."""
    expected = "a list" if count is None else f"a list of {count:,} values"

    def take(value: Any, at: str) -> tuple[T, ...]:
        if not isinstance(value, list) or count not in (None, len(value)):
            raise _mismatch(value, at, expected)
        return tuple(kind.take(item, f"{at}[{i}]") for i, item in enumerate(value))

    return Kind(expected, take)


def table(kind: Kind[T], key: Kind[str] = ANYTHING) -> Kind[dict[str, T]]:
    """Return the kind of an object with any keys of one kind and values of one kind."""

    def take(value: Any, at: str) -> dict[str, T]:
        if not isinstance(value, dict):
            raise _mismatch(value, at, "an object")
        return {
            key.take(name, f"{at}, a key of it,"): kind.take(item, f'{at}["{shown(name)}"]')
            for name, item in value.items()
        }

    return Kind("an object", take)


def record(make: Callable[..., T], **members: Kind[Any]) -> Kind[T]:
    """Return the kind of an object with exactly these keys, which ``make`` converts to a value."""

    def take(value: Any, at: str) -> T:
        if not isinstance(value, dict):
            raise _mismatch(value, at, "an object")
        inside = f"{at}." if at else ""
        for name in members:
            if name not in value:
                raise Malformed(inside + name, "is missing")
        for name in value:
            if name not in members:
                raise Malformed(inside + shown(name), "does not belong there")
        return make(
            **{name: kind.take(value[name], inside + name) for name, kind in members.items()}
        )

    return Kind("an object", take)


def member(name: str, kind: Kind[T]) -> Kind[T]:
    """Return the kind of the value of one key of an object; other keys are ignored."""

    def take(value: Any, at: str) -> T:
        if not isinstance(value, dict):
            raise _mismatch(value, at, "an object")
        inside = f"{at}.{name}" if at else name
        if name not in value:
            raise Malformed(inside, "is missing")
        return kind.take(value[name], inside)

    return Kind("an object", take)


SHA256 = matching("[0-9a-f]{64}", "a SHA-256 of 64 hexadecimal digits")

SCALAR: Kind[str | int | float | bool] = either(
    "a text, a number, true or false", text(), TRUTH, whole(), number()
)


# ------------------------------------------------------------------------------------------- words


def shown(name: str) -> str:
    """Return at most 40 characters of a text, with control characters escaped.

    Names from files are printed; a control character in them could change the terminal.
    """
    plain = name if name.isprintable() else json.dumps(name)[1:-1]
    return plain if len(plain) <= 40 else f"{plain[:37]}..."


def _mismatch(value: Any, at: str, expected: str) -> Malformed:
    return Malformed(at, f"is {_described(value)}, not {expected}")


def _described(value: Any) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return f"a list of {len(value):,}"
        case str():
            return f'"{shown(value)}"'
        case _:
            return shown(json.dumps(value))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON allows a key twice, and Python keeps the last: two readers could see different values.
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise Malformed(shown(name), "is there twice")
        members[name] = value
    return members


def _constant(name: str) -> Any:
    raise Malformed("", f"is not JSON: it contains {name}, which is not a number")

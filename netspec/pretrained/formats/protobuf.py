"""Check the encoding of a protobuf message before the library parses it.

The library takes 30 to 100 times the memory of a message that consists of empty ones.  So claimed
lengths are compared with the size of the file first, and fields are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from netspec.pretrained.formats.common import Damaged

VARINT, BYTES = 0, 2
_LENGTHS = {VARINT: 0, 1: 8, BYTES: 0, 5: 4}
"""Wire types of protobuf, and the bytes of their content after a number or a length."""

DEEPEST = 50
"""The largest number of messages that contain each other; the library allows 100."""

_VARINTS_OF_8_BYTES = (3, 4, 18)
"""Types int64, uint64 and sint64: the library needs 8 bytes for a value of one."""

_TEXT = 9
"""The type string.  The library returns bytes for one that is not UTF-8."""


class Field(NamedTuple):
    """A field of a message: its number and wire type, where it starts, and its content."""

    number: int
    wire: int
    start: int
    begin: int
    end: int


def fields(file: BinaryIO, begin: int, end: int, at_most: int, format: str) -> Iterator[Field]:
    """Yield the fields of a message.  The file is then at the content of the field.

    Args:
        file: that contains the message.
        begin: of the message in the file.
        end: of the message in the file.
        at_most: the largest number of fields.
        format: whose file it is, for messages.

    Raises:
        Damaged: the content is no message, or has more fields.
    """
    start = begin
    for _ in range(at_most + 1):
        if start == end:
            return
        file.seek(start)
        tag = _varint(file, format)
        number, wire = tag >> 3, tag & 7
        if wire not in _LENGTHS or not number:
            raise Damaged(
                f"it is damaged, or not a file of {format}: byte {start:,} begins no field"
            )
        length = _LENGTHS[wire]
        if wire == VARINT:
            _varint(file, format)
        elif wire == BYTES:
            length = _varint(file, format)
        begin = file.tell()
        if length > end - begin:
            raise Damaged(
                f"it is truncated, or not a file of {format}: the field at byte {start:,} claims "
                f"{length:,} bytes, and {max(0, end - begin):,} are left"
            )
        yield Field(number, wire, start, begin, begin + length)
        start = begin + length
    raise _many(at_most, format)


def require_small(file: BinaryIO, end: int, descriptor: Any, at_most: int, format: str) -> None:
    """Check the number of fields of a message and of those that it contains, and their texts.

    Args:
        file: at the beginning of the message.
        end, at_most, format: as for :func:`fields`.
        descriptor: of the message, from the library.

    Raises:
        Damaged: there are more fields, deeper messages, or texts that are not UTF-8.
    """
    count = 0
    for number in _counts(file, file.tell(), end, descriptor, at_most, format):
        count += number
        if count > at_most:
            raise _many(at_most, format)


def _counts(
    file: BinaryIO,
    begin: int,
    end: int,
    descriptor: Any,
    at_most: int,
    format: str,
    depth: int = 1,
) -> Iterator[int]:
    """Yield the number of fields that each field of a message counts as."""
    if depth > DEEPEST:
        raise Damaged(f"its messages are nested more than {DEEPEST} deep")
    for own in fields(file, begin, end, at_most, format):
        yield 1
        field = descriptor.fields_by_number.get(own.number)
        if field is None or own.wire != BYTES:
            continue
        if field.message_type is not None:
            yield from _counts(
                file, own.begin, own.end, field.message_type, at_most, format, depth + 1
            )
        elif field.type in _VARINTS_OF_8_BYTES:
            yield (own.end - own.begin) // 8
        elif field.type == _TEXT:
            _require_text(file.read(own.end - own.begin), own.start)


def _require_text(content: bytes, start: int) -> None:
    try:
        content.decode()
    except UnicodeDecodeError:
        raise Damaged(f"it is damaged: the text at byte {start:,} is not UTF-8") from None


def _many(at_most: int, format: str) -> Damaged:
    return Damaged(f"it has more than {at_most:,} fields, which no net of {format} has")


def _varint(file: BinaryIO, format: str) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise Damaged(f"it is truncated, or not a file of {format}: it ends within a number")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise Damaged(f"it is damaged, or not a file of {format}: a number has more than ten bytes")

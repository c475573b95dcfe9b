"""Read MATLAB's files of level 5: arrays of numbers, texts, cells and structs.

scipy's reader trusts the sizes and types that a file claims: it allocates them, follows cells in
cells without an end, and a wrong type ends the process.  Here, each array is a view of the part of
the file that it claims.  The format is documented in MathWorks' "MAT-File Format".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import prod
from typing import Any, BinaryIO, Literal

import numpy as np

from netspec.pretrained.formats.common import (
    MOST_DIMENSIONS,
    MOST_OBJECTS,
    Damaged,
    is_shape_of,
    most_content,
)

HEADER = 128
ARRAY, COMPRESSED = 14, 15
"""Types of elements that contain elements."""

NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""numpy's types of elements that contain numbers."""

CELL, STRUCT, TEXT = 1, 2, 4
CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
"""Classes of arrays; numbers may be stored in a smaller type than that of their class."""

ENCODINGS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""Encodings of texts by the types of their elements."""

COMPLEX = 0x800
PIECE = 2**20
DEEPEST = 32
"""The largest number of arrays that contain each other."""


def variables(file: BinaryIO, size: int) -> dict[str, Any]:
    """Return the variables of a file by name.

    An array of numbers is a numpy array with all of its sizes; a text is a str; a cell array is a
    list; a struct array is a list of dicts; another array, such as a function, is None.

    Args:
        file: at its beginning.
        size: of the file in bytes.

    Raises:
        Damaged: it is of another version, or claims more than it contains.
    """
    head = file.read(HEADER)
    if head[:10] == b"MATLAB 7.3" or head[:8] == b"\x89HDF\r\n\x1a\n":
        raise Damaged("it is of version 7.3", "save it in MATLAB with save(FILE, '-v7')")
    if len(head) < HEADER or head[126:] not in (b"IM", b"MI"):
        raise Damaged("it is not a .mat file of MATLAB 5 to 7")
    reader = _Reader("little" if head[126:] == b"IM" else "big", most_content(size))
    named = dict[str, Any]()
    while tag := file.read(8):
        kind, length = reader.word(tag[:4]), reader.word(tag[4:])
        if len(tag) < 8 or length > size - file.tell():
            raise Damaged("it is truncated: an array claims more bytes than the file has")
        content = memoryview(bytearray(file.read(length)))  # of tensors, which must be writable
        if kind == COMPRESSED:
            content = memoryview(reader.unpacked(content))
            kind, content = reader.word(content[:4]), content[8:]
        if kind == ARRAY:
            name, value = reader.array(content, 0)
            named[name] = value
    return named


class _Reader:
    """Reads arrays, and counts them.

    Args:
        order: of bytes.
        left: the number of bytes that may still be unpacked.
    """

    def __init__(self, order: Literal["little", "big"], left: int) -> None:
        self._order: Literal["little", "big"] = order
        self._left, self._count = left, 0

    def word(self, content: bytes | memoryview) -> int:
        return int.from_bytes(content, self._order)

    def unpacked(self, content: memoryview | bytes) -> bytearray:
        unpacking, result = zlib.decompressobj(), bytearray()
        while not unpacking.eof:
            piece = unpacking.decompress(content, PIECE)
            content = unpacking.unconsumed_tail
            result += piece
            if len(result) > self._left:
                raise Damaged("it unpacks to more than a net has")
            if not piece and not content:
                raise Damaged("it is truncated: a compressed array does not end")
        self._left -= len(result)
        return result

    def array(self, content: memoryview, depth: int) -> tuple[str, Any]:
        """Return the name and the value of an array."""
        self._count += 1
        if self._count > MOST_OBJECTS or depth > DEEPEST:
            raise Damaged("it has more arrays, or deeper ones, than a net has")
        elements = self._elements(content)
        flags = self.word(next(elements, (0, content[:0]))[1][:4])
        shape = next(elements, (0, content[:0]))[1]
        name = bytes(next(elements, (0, content[:0]))[1]).decode("utf-8", "backslashreplace")
        sizes = [self.word(shape[at : at + 4]) for at in range(0, len(shape), 4)]
        if len(sizes) > MOST_DIMENSIONS:
            raise Damaged(f"it is damaged: an array has {len(sizes):,} sizes")
        if flags & 255 == CELL:
            return name, self._arrays(elements, prod(sizes) if sizes else 0, depth)
        if flags & 255 == STRUCT:
            return name, self._structs(elements, prod(sizes), depth)
        if flags & 255 == TEXT:
            kind, text = next(elements, (2, content[:0]))
            order = {"little": "-le", "big": "-be"}[self._order]
            encoding = ENCODINGS.get(kind, "utf-8")
            encoding += "" if encoding == "utf-8" else order
            return name, bytes(text).decode(encoding, "replace")
        if flags & 255 in CLASSES and not flags & COMPLEX:
            return name, self._numbers(elements, sizes, CLASSES[flags & 255])
        return name, None

    def _numbers(
        self, elements: Iterator[tuple[int, memoryview]], sizes: list[int], dtype: str
    ) -> Any:
        kind, content = next(elements, (2, memoryview(b"")))
        order = "<" if self._order == "little" else ">"
        if kind not in NUMBERS:
            raise Damaged(f"it is damaged: an array has values of the type {kind}")
        stored = np.dtype(order + NUMBERS[kind])
        count, rest = divmod(len(content), stored.itemsize)
        if rest or not is_shape_of(sizes, count):
            raise Damaged(
                f"it is damaged: an array of the size {sizes} has {len(content):,} bytes of "
                f"{stored.name}"
            )
        values = np.frombuffer(content, stored).astype(np.dtype(dtype), copy=False)
        return values.reshape(sizes, order="F")

    def _arrays(
        self, elements: Iterator[tuple[int, memoryview]], count: int, depth: int
    ) -> list[Any]:
        arrays = [self.array(part, depth + 1)[1] for kind, part in elements if kind == ARRAY]
        if len(arrays) != count:
            raise Damaged(f"it is damaged: {len(arrays):,} of {count:,} arrays are there")
        return arrays

    def _structs(
        self, elements: Iterator[tuple[int, memoryview]], count: int, depth: int
    ) -> list[dict[str, Any]]:
        width = self.word(next(elements, (0, memoryview(b"")))[1][:4])
        names = bytes(next(elements, (0, memoryview(b"")))[1])
        if not width:
            return []
        fields = [
            names[at : at + width].partition(b"\0")[0].decode("utf-8", "backslashreplace")
            for at in range(0, len(names), width)
        ]
        if not fields:
            return []
        values = self._arrays(elements, count * len(fields), depth)
        return [
            dict(zip(fields, values[at : at + len(fields)], strict=True))
            for at in range(0, len(values), len(fields))
        ]

    def _elements(self, content: memoryview) -> Iterator[tuple[int, memoryview]]:
        at = 0
        while at + 8 <= len(content):
            first = self.word(content[at : at + 4])
            if first >> 16:  # a small element: type, length and at most four bytes, in eight
                kind, length, begin = first & 0xFFFF, first >> 16, at + 4
                end = at + 8
            else:
                kind, length, begin = first, self.word(content[at + 4 : at + 8]), at + 8
                end = begin + -(-length // 8) * 8
            if begin + length > min(end, len(content)):
                raise Damaged("it is damaged: an array claims more bytes than it has")
            yield kind, content[begin : begin + length]
            at = end

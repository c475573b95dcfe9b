"""MATLAB's files of level 5, checked before scipy reads them.

scipy allocates the arrays that a file claims, and follows cells in cells without an end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import prod
from typing import BinaryIO, Literal

from netspec.pretrained.formats.common import MOST_OBJECTS, Damaged, most_content

HEADER = 128
ARRAY, COMPRESSED = 14, 15
"""Types of elements that contain elements."""

CELLS = (1, 2, 3)
"""Classes of arrays whose elements are arrays: cells, structs and objects."""

PIECE = 2**20
DEEPEST = 32
"""The largest number of arrays that contain each other."""


def require_sound(file: BinaryIO, size: int) -> None:
    """Raise Damaged if a file claims, or unpacks to, more than its size allows.

    Args:
        file: at its beginning.
        size: of the file in bytes.
    """
    head = file.read(HEADER)
    if head[:10] == b"MATLAB 7.3" or head[:8] == b"\x89HDF\r\n\x1a\n":
        raise Damaged("it is of version 7.3", "save it in MATLAB with save(FILE, '-v7')")
    if len(head) < HEADER or head[126:] not in (b"IM", b"MI"):
        raise Damaged("it is not a .mat file of MATLAB 5 to 7")
    check = _Checker("little" if head[126:] == b"IM" else "big", most_content(size))
    while tag := file.read(8):
        kind, length = check.word(tag[:4]), check.word(tag[4:])
        if len(tag) < 8 or length > size - file.tell():
            raise Damaged("it is truncated: an array claims more bytes than the file has")
        content = file.read(length)
        if kind == COMPRESSED:
            content = check.unpacked(content)
            kind, content = check.word(content[:4]), content[8:]
        if kind == ARRAY:
            check.array(memoryview(content), 0)


class _Checker:
    """Checks arrays, and counts what they contain."""

    def __init__(self, order: Literal["little", "big"], left: int) -> None:
        self._order: Literal["little", "big"] = order
        self._left, self._count = left, 0

    def word(self, content: bytes | memoryview) -> int:
        return int.from_bytes(content, self._order)

    def unpacked(self, content: bytes) -> bytes:
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
        return bytes(result)

    def array(self, content: memoryview, depth: int) -> None:
        """Raise Damaged if an array, or one in it, claims more elements than it contains."""
        self._count += 1
        if self._count > MOST_OBJECTS or depth > DEEPEST:
            raise Damaged("it has more arrays, or deeper ones, than a net has")
        parts, inner = list[memoryview](), 0
        for kind, part in self._elements(content):
            if kind == ARRAY:
                inner += 1
                self.array(part, depth + 1)
            elif len(parts) < 2:  # flags, with the class, and the sizes
                parts.append(part)
        if len(parts) == 2 and len(parts[0]) >= 4 and self.word(parts[0][:4]) & 255 in CELLS:
            sizes = [self.word(parts[1][n : n + 4]) for n in range(0, len(parts[1]), 4)]
            if prod(sizes) > max(inner, 1):  # a struct without fields has none
                raise Damaged(f"it is damaged: an array of the size {sizes} has {inner} elements")

    def _elements(self, content: memoryview) -> Iterator[tuple[int, memoryview]]:
        at = 0
        while at + 8 <= len(content):
            first = self.word(content[at : at + 4])
            if first >> 16:  # a small element: type, length and at most four bytes in eight
                kind, length, begin = first & 0xFFFF, first >> 16, at + 4
                end = at + 8
            else:
                kind, length, begin = first, self.word(content[at + 4 : at + 8]), at + 8
                end = begin + -(-length // 8) * 8
            if begin + length > min(end, len(content)):
                raise Damaged("it is damaged: an array claims more bytes than it has")
            yield kind, content[begin : begin + length]
            at = end

"""The texts in an HDF5 file, checked before the library reads them.

A text of variable length is in a global heap, a block of objects.  What refers to it has its
length, the address of the heap and the number of the object.  The library (2.0) trusts both: it
never comes to the end of a heap with an object of no length, and it allocates the length, up to
4 GB, before it compares it with the object.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from math import prod
from typing import BinaryIO

from netspec.pretrained.formats.common import Damaged, most_content

HEAP = b"GCOL\x01\x00\x00\x00"
"""The beginning of a global heap: signature, version and zeros; its size follows."""

TEXT = b"\x00\x10\x00\x00\x00"
"""A part of the type of a text of variable length: the size of what refers to it, 16 bytes."""

HEADER = 16
"""The size of the header of a heap, and of an object in it, in bytes."""

Content = bytes | mmap.mmap


def require_sound_texts(file: BinaryIO, size: int) -> None:
    """Raise Damaged if texts of variable length claim more than the file contains.

    Args:
        file: of HDF5, at its beginning, where it is left.
        size: of the file in bytes.
    """
    head = file.read(HEADER)
    file.seek(0)
    # the sizes of addresses and of lengths are in one of two places, depending on the version
    if len(head) == HEADER and b"\x08\x08" not in (head[13:15], head[9:11]):
        raise Damaged("it is damaged, or does not have addresses of 64 bits")
    left, heaps = most_content(size), dict[int, dict[int, int]]()
    with _content(file, size) as content:
        for heap in _places(content, HEAP):
            heaps[heap] = _objects(content, heap, size)
        for place in _places(content, TEXT):
            for length, heap, number in _texts(content, place - 3):
                left -= length
                if length > heaps.get(heap, {}).get(number, 0) or left < 0:
                    raise Damaged(f"it is damaged: a text in it claims {length:,} bytes")


def _texts(content: Content, place: int) -> Iterator[tuple[int, int, int]]:
    """Yield the length, heap and number of the texts of an attribute.

    Args:
        content: of the file.
        place: of the type of the attribute; its shape and values follow.
    """
    kind = content[max(place, 0) : place + 28]
    # type 9 is of variable length, with the subtype text; type 0 is a number, here a byte
    if len(kind) < 28 or (kind[0] & 15, kind[1] & 15, kind[8] & 15) != (9, 1, 0):
        return
    shape = 20 if kind[20] else 24  # old attributes have zeros up to a multiple of 8
    version, rank, flags = kind[shape : shape + 3]
    if version not in (1, 2) or rank > 32:
        return
    begin = place + shape + (8 if version == 1 else 4)
    sizes = struct.unpack(f"<{rank}Q", content[begin : begin + 8 * rank].ljust(8 * rank, b"\0"))
    begin += 8 * rank * (2 if flags & 1 else 1)
    count = min(prod(sizes), (len(content) - begin) // 16)
    for at in range(begin, begin + 16 * count, 16):
        length, heap, number = struct.unpack("<IQI", content[at : at + 16])
        if length:
            yield length, heap, number


def _objects(content: Content, heap: int, size: int) -> dict[int, int]:
    """Return the lengths of the objects of a heap by their numbers."""
    (claimed,) = struct.unpack("<Q", content[heap + 8 : heap + HEADER].ljust(8, b"\0"))
    at, end, objects = heap + HEADER, min(heap + claimed, size), dict[int, int]()
    while at + HEADER <= end:
        number, length = struct.unpack("<H6xQ", content[at : at + HEADER])
        # object 0 is the space that is free, and its length includes this header
        need = length if number == 0 else HEADER + -(-length // 8) * 8
        if need < HEADER or at + need > end:
            raise Damaged(f"it is damaged: a text in it has a length of {length:,} bytes")
        objects[number] = length
        at += need
    return objects


def _places(content: Content, wanted: bytes) -> Iterator[int]:
    place = content.find(wanted)
    while place >= 0:
        yield place
        place = content.find(wanted, place + 1)


@contextmanager
def _content(file: BinaryIO, size: int) -> Iterator[Content]:
    """Yield the content of a file without reading it into memory."""
    if isinstance(file, BytesIO):
        yield file.getvalue()
    elif not size:
        yield b""
    else:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content

"""Reading plain files, each by one descriptor, and none without bound.

The counterpart of ``writing.py``: a file that another process replaces meanwhile is read as it was
or as it is, never as a part of both, because its path is opened once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from netspec.errors import DataError


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file for reading; what replaces it meanwhile is not seen.

    Raises:
        OSError: it cannot be opened; it is a link, a folder, a pipe or a device.
    """
    # without O_NONBLOCK, opening a pipe waits for its other end
    flags = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK"))
    if path.is_symlink():  # else the reason is "too many levels of symbolic links"
        raise OSError(None, "it is a link, and only plain files are read here", str(path))
    with open(
        path, "rb", buffering=0, opener=lambda name, mode: os.open(name, mode | flags)
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(None, "it is not a plain file", str(path))
        yield file


def read_plain(path: Path, at_most: int) -> bytes:
    """Return the content of a plain file of at most so many bytes.

    Raises:
        DataError: it cannot be read, is not a plain file, or is larger.
    """
    try:
        with opened(path) as file:
            return read_bounded(file, path, at_most)
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason_of(error)}") from None


def read_named(path: Path, at_most: int) -> bytes:
    """Return the content of a file that a person named: a link is followed, a pipe read to its end.

    Raises:
        DataError: it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            return read_bounded(file, path, at_most)
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason_of(error)}") from None


def read_bounded(file: BinaryIO, name: Path | str, at_most: int) -> bytes:
    """Return the rest of an open file.

    Raises:
        DataError: it has more than so many bytes.
    """
    pieces, size = list[bytes](), 0
    while piece := file.read(min(2**20, at_most + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if size > at_most:
            raise DataError(f"cannot read {name}: it has more than {at_most:,} bytes")
    return b"".join(pieces)


def fill(file: BinaryIO, memory: memoryview) -> None:
    """Fill memory with the next bytes of a file.

    Raises:
        EOFError: the file ends before.
    """
    while memory:
        count = file.readinto(memory)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        memory = memory[count:]


def message_of(error: Exception) -> str:
    """Return what an exception says: the system's reason, else its own text, else its name."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def reason_of(error: Exception) -> str:
    """Return why the system refused, as a part of a sentence."""
    return message_of(error).lower()

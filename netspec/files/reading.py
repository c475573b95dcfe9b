"""Reading plain files through one descriptor, with a limit of their size.

The counterpart of ``writing.py``.  A path is opened once, so if another process replaces the file
during reading, the result is the old content or the new one, never a mixture.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from netspec.errors import DataError


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file for reading; a file that replaces it later is not seen.

    Raises:
        OSError: the file cannot be opened, or is a link, a folder, a pipe or a device.
    """
    # O_NOFOLLOW: a link that replaces the file after the check below is not followed.
    # O_NONBLOCK: without it, opening a pipe waits until another process writes to it.
    flags = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK"))
    if path.is_symlink():  # the system's own reason is "too many levels of symbolic links"
        raise OSError(None, "it is a link, and must be a plain file", str(path))
    with open(
        path, "rb", buffering=0, opener=lambda name, mode: os.open(name, mode | flags)
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(None, "it is not a plain file", str(path))
        yield file


def read_plain(path: Path, at_most: int) -> bytes:
    """Return the content of a plain file.

    Raises:
        DataError: the file cannot be read, is not a plain file, or has more than ``at_most`` bytes.
    """
    try:
        with opened(path) as file:
            return read_bounded(file, path, at_most)
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason_of(error)}") from None


def read_named(path: Path, at_most: int) -> bytes:
    """Return the content of a file that a user named: links are followed, pipes are read.

    Raises:
        DataError: the file cannot be read, or has more than ``at_most`` bytes.
    """
    try:
        with path.open("rb") as file:
            return read_bounded(file, path, at_most)
    except OSError as error:
        raise DataError(f"cannot read {path}: {reason_of(error)}") from None


def read_bounded(file: IO[bytes], name: Path | str, at_most: int) -> bytes:
    """Return the content of an open file from its present position.

    Args:
        file: open for reading.
        name: of the file, for the message.
        at_most: the largest number of bytes.

    Raises:
        DataError: there are more bytes.
    """
    pieces, size = list[bytes](), 0
    while piece := file.read(min(2**20, at_most + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if size > at_most:
            raise DataError(f"cannot read {name}: it has more than {at_most:,} bytes")
    return b"".join(pieces)


def fill(file: BinaryIO, memory: memoryview) -> None:
    """Fill ``memory`` with the next bytes of a file.

    Raises:
        EOFError: the file has fewer bytes.
    """
    while memory:
        count = file.readinto(memory)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        memory = memory[count:]


def message_of(error: Exception) -> str:
    """Return the message of an exception: the system's reason, its own text, or its class name."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def reason_of(error: Exception) -> str:
    """Return the message of an exception as a part of a sentence, in lower case."""
    return message_of(error).lower()

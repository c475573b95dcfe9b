"""What the readers of several formats share: limits of memory, and errors."""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from netspec.errors import DataError
from netspec.files.reading import reason_of
from netspec.pretrained.grouping import PLAIN, Ungrouped

EXPANSION, ALLOWANCE = 16, 2**24
"""Weights compress by less than a half, and initial values, such as zeros, are a small part."""

MOST_OBJECTS = 100_000
"""The largest number of layers, groups and datasets of a file; real files have a few thousand."""

MOST_DIMENSIONS = 32
"""The largest number of dimensions of a tensor."""

ADVICE = "get the file again, and compare its digest with the published one"


class Damaged(Exception):
    """Content of a file that cannot be used.

    Args:
        reason: a part of a sentence, whose subject is the file: ``it is truncated``.
        advice: how to fix it.
    """

    def __init__(self, reason: str, advice: str = ADVICE) -> None:
        super().__init__(reason)
        self.reason, self.advice = reason, advice


@contextmanager
def reading(path: Path, *others: type[Exception]) -> Iterator[None]:
    """Convert the errors of a block that reads a file of weights to a DataError that names it.

    Args:
        path: of the file.
        others: the exceptions that the library of the format raises for a damaged file.
    """
    damaged: tuple[type[Exception], ...] = (EOFError, zlib.error, *others)
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"cannot read weights from {path}: there is no such file") from None
    except Damaged as error:
        raise DataError(
            f"cannot read weights from {path}: {error.reason}; {error.advice}"
        ) from None
    except Ungrouped as error:
        raise DataError(f"cannot read weights from {path}: {error}; {PLAIN}") from None
    except damaged as error:
        raise DataError(
            f"cannot read weights from {path}: it is damaged ({line_of(error)}); {ADVICE}"
        ) from None
    except MemoryError:
        raise DataError(f"cannot read weights from {path}: not enough memory") from None
    except OSError as error:
        raise DataError(f"cannot read weights from {path}: {reason_of(error)}") from None


@contextmanager
def opened_plain(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file that a user named, through links; yield it and its size in bytes.

    Raises:
        OSError: the file cannot be opened.
        Damaged: it is not a plain file.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait
        raise OSError(None, "it is not a plain file", str(path))
    with path.open("rb") as file:
        yield file, path.stat().st_size


def followed(path: Path) -> Path:
    """Return the file that a link names, or the path: the cache of the hub consists of links."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def most_content(size: int) -> int:
    """Return the number of bytes that a file with this size may contain when it is expanded."""
    return EXPANSION * size + ALLOWANCE


def is_shape_of(sizes: Sequence[int], count: int) -> bool:
    """Return True if an array with these sizes has ``count`` values, and can be made.

    Sizes next to a 0 can be so large that their product overflows.
    """
    is_usual = len(sizes) <= MOST_DIMENSIONS and all(0 <= size < 2**40 for size in sizes)
    return is_usual and prod(sizes) == count and prod(size or 1 for size in sizes) < 2**60


def required(module: str, package: str) -> Any:
    """Import the module of a package that reads a format.

    Raises:
        DataError: the package is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise DataError(
            f"reading this file of weights needs the package {package}: "
            'pip install "netspec-compiler[weights]"'
        ) from None


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names by the numbers in them: ``conv2d_2`` before ``conv2d_10``."""
    parts = re.split("([0-9]{1,18})", name)
    return tuple((1, int(part), "") if n % 2 else (0, 0, part) for n, part in enumerate(parts))


def line_of(error: Exception) -> str:
    """Return the message of a library, which may contain names of the file, as a short line."""
    text = " ".join(str(error).split())
    if text[:1] == text[-1:] and text[:1] in ("'", '"'):  # of a KeyError
        text = text[1:-1]
    text = text or type(error).__name__
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= 120 else f"{text[:117]}..."


def readable(name: str) -> str:
    """Return a name from a file with bytes that are not UTF-8 escaped: they cannot be printed."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

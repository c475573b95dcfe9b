"""MNIST's four files in the IDX format, plain or gzipped (LeCun, Cortes, Burges 1998).

A file has a magic number of four bytes: 0, 0, 8 (for unsigned bytes) and the number of dimensions.
Each dimension follows in four bytes, big-endian; then the values, one byte each.
"""

from __future__ import annotations

import gzip
import os
import zlib
from functools import partial
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Arrays, InMemory, Splits
from netspec.data.files import folder_of, require, unreadable, wrong_size
from netspec.errors import DataError

CLASSES = tuple("0123456789")
PARTS = {"training": "train", "validation": "t10k"}
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
ADVICE = (
    "MNIST is train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, with or without .gz; download them, for instance from "
    "https://ossci-datasets.s3.amazonaws.com/mnist/, into this folder"
)
AGAIN = "download it again"

File = IO[bytes] | gzip.GzipFile

RATIO, SMALL = 100, 2**26
"""Limit against gzip bombs: a file may unpack to RATIO times its size plus SMALL bytes.  MNIST's
images unpack to five times their size; gzip can reach a thousand."""


def open_mnist(location: str) -> Splits:
    """Return MNIST, or data in its format: images [28, 28, 1], 0 paper to 255 ink.

    Args:
        location: the folder with the four files.

    Raises:
        DataError: if a file is missing, truncated or corrupt; the message names it.
    """
    folder = folder_of(location)
    names = [f"{part}-{kind}" for part in PARTS.values() for kind in (IMAGES, LABELS)]
    paths = {name: _plain_or_gzip(folder, name) for name in names}
    require(folder, [path.name for path in paths.values()], ADVICE)
    return Splits(
        *(
            _split(use, paths[f"{part}-{IMAGES}"], paths[f"{part}-{LABELS}"])
            for use, part in PARTS.items()
        )
    )


def _plain_or_gzip(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def _split(use: str, images: Path, labels: Path) -> InMemory:
    return InMemory("mnist", use, CLASSES, partial(_read, images, labels))


def _read(images: Path, labels: Path) -> Arrays:
    x, y = _idx(images, dimensions=3), _idx(labels, dimensions=1)
    if len(x) != len(y):
        raise DataError(
            f"{images} has {len(x):,} images, but {labels} has {len(y):,} labels, so they do not "
            "belong together: download both again"
        )
    wrong = np.flatnonzero(y >= len(CLASSES))
    if len(wrong):
        raise DataError(
            f"{labels}: label {wrong[0]} is {y[wrong[0]]}, not 0 to 9: the file is corrupt or "
            f"not from MNIST; {AGAIN}"
        )
    return Arrays(x[..., np.newaxis], y)


def _idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of an IDX file of bytes."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if is_packed:
                return _unpacked(path, file, dimensions, SMALL + RATIO * size)
            shape, expected = _header(path, file, dimensions)
            if size != expected:
                raise wrong_size(path, size, expected, AGAIN)
            return _content(path, file, shape)
    except OSError as error:
        raise unreadable(path, error) from None


def _unpacked(path: Path, packed: IO[bytes], dimensions: int, most: int) -> NDArray[np.uint8]:
    """Return the array in a gzip file; at most the bytes that its header declares are unpacked."""
    try:
        with gzip.GzipFile(fileobj=packed) as file:
            shape, expected = _header(path, file, dimensions)
            if expected > most:
                raise DataError(
                    f"{path} would unpack to {expected:,} bytes, more than the limit of {most:,} "
                    f"({RATIO} times its size plus {SMALL:,}): if it is correct, unpack it with "
                    "gunzip"
                )
            return _content(path, file, shape)
    except EOFError:
        raise DataError(f"{path} is truncated: its gzip data is incomplete: {AGAIN}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is corrupt: {error}: {AGAIN}") from None


def _header(path: Path, file: File, dimensions: int) -> tuple[list[int], int]:
    """Return the shape in the header of a file, and the size in bytes that the file should have."""
    magic = bytes((0, 0, 8, dimensions))
    start = file.read(4)
    if start != magic:
        raise DataError(
            f"{path} begins with {start.hex(' ') or 'nothing'}, not {magic.hex(' ')}: it is not "
            f"an IDX file of {'images' if dimensions == 3 else 'labels'}; {AGAIN}"
        )
    sizes = file.read(4 * dimensions)
    length = len(magic) + 4 * dimensions
    if len(magic + sizes) < length:
        raise wrong_size(path, len(magic + sizes), length, AGAIN)
    shape = [int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * dimensions, 4)]
    if 0 in shape:  # NumPy raises an error for such a shape if its other sizes are large
        raise DataError(f"{path} has no {'images' if dimensions == 3 else 'labels'}: {AGAIN}")
    return shape, length + prod(shape)


def _content(path: Path, file: File, shape: list[int]) -> NDArray[np.uint8]:
    """Return the remaining bytes of a file, as an array of this shape."""
    array = np.empty(shape, np.uint8)
    memory = array.reshape(-1).data
    while memory and (count := file.readinto(memory)):  # type: ignore[union-attr]
        memory = memory[count:]
    if memory:
        raise wrong_size(path, array.size - len(memory), array.size, AGAIN)
    if file.read(1):
        raise DataError(f"{path} is too long: more than {array.size:,} bytes of data: {AGAIN}")
    return array

"""MNIST's four files in the IDX format, gzip or not (LeCun, Cortes, Burges 1998).

A file is a magic number, big-endian like all numbers in it: two zero bytes, 08 for bytes, and how
many dimensions follow; then each dimension in four bytes; then the bytes.
"""

from __future__ import annotations

import gzip
import zlib
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Arrays, InMemory, Splits
from netspec.data.files import read_bytes, require, wrong_size
from netspec.errors import DataError

CLASSES = tuple("0123456789")
PARTS = {"training": "train", "validation": "t10k"}
PICTURES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
ADVICE = (
    "MNIST is train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, with or without .gz; download them, for instance from "
    "https://ossci-datasets.s3.amazonaws.com/mnist/, into this folder"
)
AGAIN = "download it again"


def open_mnist(place: str) -> Splits:
    """MNIST, or what has its format: pictures [28, 28, 1], 0 paper to 255 ink.

    Raises:
        DataError: a file is missing, truncated or corrupt; the message names it.
    """
    folder = Path(place).expanduser()
    names = [f"{part}-{kind}" for part in PARTS.values() for kind in (PICTURES, LABELS)]
    paths = {name: _plain_or_gzip(folder, name) for name in names}
    require(folder, [path.name for path in paths.values()], ADVICE)
    return Splits(
        *(
            _split(use, paths[f"{part}-{PICTURES}"], paths[f"{part}-{LABELS}"])
            for use, part in PARTS.items()
        )
    )


def _plain_or_gzip(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def _split(use: str, pictures: Path, labels: Path) -> InMemory:
    return InMemory("mnist", use, CLASSES, partial(_read, pictures, labels))


def _read(pictures: Path, labels: Path) -> Arrays:
    x, y = _idx(pictures, dimensions=3), _idx(labels, dimensions=1)
    if len(x) != len(y):
        raise DataError(
            f"{pictures} has {len(x):,} pictures, and {labels} {len(y):,} labels: "
            "they are not of one set; download both again"
        )
    if not x.size:
        raise DataError(f"{pictures} has no pictures: {AGAIN}")
    wrong = np.flatnonzero(y >= len(CLASSES))
    if len(wrong):
        raise DataError(
            f"{labels}: label {wrong[0]} is {y[wrong[0]]}, not 0 to 9: the file is corrupt, "
            "or not MNIST's"
        )
    return Arrays(x[..., np.newaxis], y)


def _idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array that an IDX file of bytes holds."""
    data = read_bytes(path)
    if data[:2] == b"\x1f\x8b":
        data = _unpacked(path, data)
    magic, header = bytes((0, 0, 8, dimensions)), 4 + 4 * dimensions
    if data[:4] != magic:
        raise DataError(
            f"{path} begins with {data[:4].hex(' ') or 'nothing'}, not {magic.hex(' ')}: it is no "
            f"IDX file of {'pictures' if dimensions == 3 else 'labels'}; {AGAIN}"
        )
    if len(data) < header:
        raise wrong_size(path, len(data), header, AGAIN)
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, header, 4)]
    if len(data) != header + prod(shape):
        raise wrong_size(path, len(data), header + prod(shape), AGAIN)
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _unpacked(path: Path, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except EOFError:
        raise DataError(f"{path} is truncated: its gzip data has no end: {AGAIN}") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path} is corrupt: {error}: {AGAIN}") from None

"""CIFAR-10 and CIFAR-100 in their binary versions (Krizhevsky 2009).

A record is one label byte (two for CIFAR-100: the coarse and the fine label), followed by the 3,072
bytes of a 32x32 image: all red values, then green, then blue, each row by row.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netspec.data.dataset import Arrays, InMemory, Splits
from netspec.data.files import folder_of, read_exactly, require
from netspec.errors import DataError
from netspec.files.reading import read_named

SIDE = 32
IMAGE = 3 * SIDE * SIDE
LARGEST_NAMES = 2**16
"""The largest size in bytes of the file with the names of classes."""


class _Version(NamedTuple):
    name: str
    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    label_bytes: int  # the last one is the class
    train_records: int  # in each file
    test_records: int

    @property
    def advice(self) -> str:
        return (
            f"download the binary version, {self.archive}, from "
            f"https://www.cs.toronto.edu/~kriz/cifar.html and unpack it there; this makes the "
            f"folder {self.folder}/"
        )


CIFAR10 = _Version(
    name="cifar10",
    archive="cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test="test_batch.bin",
    names="batches.meta.txt",
    classes=10,
    label_bytes=1,
    train_records=10_000,
    test_records=10_000,
)
CIFAR100 = _Version(
    name="cifar100",
    archive="cifar-100-binary.tar.gz",
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    classes=100,
    label_bytes=2,
    train_records=50_000,
    test_records=10_000,
)


def open_cifar10(location: str) -> Splits:
    """Return CIFAR-10: 50,000 training and 10,000 validation images [32, 32, 3] in 10 classes.

    Args:
        location: the folder in which the archive was unpacked, or the folder that it contains.

    Raises:
        DataError: if a file is missing, truncated or corrupt; the message names it.
    """
    return _open(CIFAR10, location)


def open_cifar100(location: str) -> Splits:
    """Return CIFAR-100 with its 100 fine labels; otherwise as :func:`open_cifar10`."""
    return _open(CIFAR100, location)


def _open(version: _Version, location: str) -> Splits:
    root = folder_of(location)
    folder = root / version.folder
    if not folder.is_dir():
        folder = root
    require(folder, (*version.train, version.test, version.names), version.advice)
    classes = _classes(folder / version.names, version)
    return Splits(
        _split("training", folder, version.train, version.train_records, classes, version),
        _split("validation", folder, (version.test,), version.test_records, classes, version),
    )


def _classes(path: Path, version: _Version) -> tuple[str, ...]:
    names = tuple(read_named(path, LARGEST_NAMES).decode("utf-8", "replace").split())
    if len(set(names)) != version.classes:
        raise DataError(
            f"{path} names {len(set(names))} classes, not {version.classes}: {version.advice}"
        )
    return names


def _split(
    use: str,
    folder: Path,
    files: tuple[str, ...],
    records: int,
    classes: tuple[str, ...],
    version: _Version,
) -> InMemory:
    paths = tuple(folder / name for name in files)
    return InMemory(version.name, use, classes, partial(_read, paths, records, version))


def _read(paths: tuple[Path, ...], records: int, version: _Version) -> Arrays:
    read = np.concatenate([_records(path, records, version) for path in paths])
    pixels = read[:, version.label_bytes :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Arrays(pixels, read[:, version.label_bytes - 1])


def _records(path: Path, records: int, version: _Version) -> NDArray[np.uint8]:
    size = version.label_bytes + IMAGE
    data = read_exactly(path, records * size, version.advice)
    rows = np.frombuffer(data, np.uint8).reshape(records, size)
    labels = rows[:, version.label_bytes - 1]
    wrong = np.flatnonzero(labels >= version.classes)
    if len(wrong):
        raise DataError(
            f"{path} is corrupt: the label of record {wrong[0]} is {labels[wrong[0]]}, "
            f"not 0 to {version.classes - 1}: {version.advice}"
        )
    return rows

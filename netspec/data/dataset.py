"""What a data set is: numbered examples with labels, and a digest of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""An image [H, W, C] of 0..255, C 1 for grey or 3 for RGB; or many of them [N, H, W, C]."""


class Example(NamedTuple):
    """An image, uint8 [H, W, C] with C 1 or 3, and the number of its class."""

    pixels: Pixels
    label: int


class Dataset(ABC):
    """One split of a data set.  It pickles small: a process that gets it opens files itself."""

    def __init__(self, name: str, classes: tuple[str, ...]) -> None:
        self.name = name
        """For messages, such as ``digits, 1,437 for training``."""
        self.classes = classes

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def example(self, number: int) -> Example:
        """An example by its number, from 0.

        Raises:
            DataError: this one is corrupt, or its file is gone; the message names it.
        """

    @abstractmethod
    def contents(self) -> Iterable[bytes | memoryview]:
        """What the digest is taken of, beside the names of the classes."""

    @cached_property
    def digest(self) -> str:
        """The sha256 of what the split consists of: each data set's page says what that is."""
        return sha256(
            [
                *(name.encode("utf-8", "surrogateescape") for name in self.classes),
                b"",
                *self.contents(),
            ]
        )


class Splits(NamedTuple):
    """The examples to learn from, and those to measure on."""

    train: Dataset
    validation: Dataset


class Arrays(NamedTuple):
    """Examples of one size: pixels [N, H, W, C] and labels [N], both uint8."""

    pixels: Pixels
    labels: NDArray[np.uint8]


class InMemory(Dataset):
    """A split that fits into memory; each process that it is pickled to reads it for itself."""

    def __init__(
        self, source: str, use: str, classes: tuple[str, ...], read: Callable[[], Arrays]
    ) -> None:
        self._read = read
        self._length = len(self.arrays.labels)
        super().__init__(split_name(source, self._length, use), classes)

    @cached_property
    def arrays(self) -> Arrays:
        """All examples; read-only, since what `example` gives is a part of them."""
        arrays = self._read()
        for array in arrays:
            array.setflags(write=False)
        return arrays

    def __len__(self) -> int:
        return self._length

    def example(self, number: int) -> Example:
        pixels, labels = self.arrays
        return Example(np.ascontiguousarray(pixels[number]), int(labels[number]))

    def contents(self) -> Iterable[bytes | memoryview]:
        pixels, labels = self.arrays
        yield str(pixels.shape).encode()
        yield np.ascontiguousarray(pixels).reshape(-1).data
        yield labels.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "arrays"}


def split_name(source: str, count: int, use: str) -> str:
    """The name of a split, such as ``digits, 1,437 for training``."""
    return f"{source}, {count:,} for {use}"


def sha256(parts: Iterable[bytes | memoryview]) -> str:
    """The digest of parts: of each its length first, so that no two lists of parts look alike."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()

"""A data set: numbered examples with labels, and a digest of them."""

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
        self.passed_over = ""
        """What its reader found beside the images, in words; empty if nothing."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def example(self, number: int) -> Example:
        """Return an example by its number, from 0.

        Raises:
            DataError: the example is corrupt, or its file is gone; the message names it.
        """

    def called(self, number: int) -> str:
        """Return what messages call an example."""
        return f"example {number}"

    @abstractmethod
    def contents(self) -> Iterable[bytes | memoryview]:
        """Yield the bytes that the digest covers, beside the names of the classes."""

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the names of the classes and of :meth:`contents`."""
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
        """All examples; read-only, since `example` returns views of them."""
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
    """Return the name of a split, such as ``digits, 1,437 for training``."""
    return f"{source}, {count:,} for {use}"


def sha256(parts: Iterable[bytes | memoryview]) -> str:
    """Return the digest of parts, each after its length, so that no two lists look alike."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.hexdigest()

"""The interface of data sets: numbered examples with labels, and a digest."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""An image [H, W, C] of 0..255 with C = 1 (grey) or 3 (RGB); or N images [N, H, W, C]."""


class Example(NamedTuple):
    """An image, uint8 [H, W, C] with C = 1 or 3, and the number of its class."""

    pixels: Pixels
    label: int


class Dataset(ABC):
    """One split of a data set.

    A pickled split must be small: it is sent to other processes, which open the files themselves.
    """

    def __init__(self, name: str, classes: tuple[str, ...]) -> None:
        self.name = name
        """Name for messages, such as ``digits, 1,437 for training``."""
        self.classes = classes
        """Names of the classes, in the order of their numbers."""
        self.passed_over = ""
        """Description of the files that the reader ignored; empty if none."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def example(self, number: int) -> Example:
        """Return an example by its number, from 0.

        Raises:
            DataError: if the example is corrupt or its file is missing; the message names it.
        """

    def called(self, number: int) -> str:
        """Return the name of an example for messages."""
        return f"example {number}"

    @abstractmethod
    def contents(self) -> Iterable[bytes | memoryview]:
        """Yield the bytes that the digest covers in addition to the names of the classes."""

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
    """The two splits of a data set: one to train on, one to measure errors on."""

    train: Dataset
    validation: Dataset


class Arrays(NamedTuple):
    """Examples that have the same size: pixels [N, H, W, C] and labels [N], both uint8."""

    pixels: Pixels
    labels: NDArray[np.uint8]


class InMemory(Dataset):
    """A split that is kept in memory.  It is pickled without its arrays; each process reads them.

    Args:
        source: name of the data set.
        use: ``training`` or ``validation``.
        classes: names of the classes.
        read: picklable function that reads the examples.
    """

    def __init__(
        self, source: str, use: str, classes: tuple[str, ...], read: Callable[[], Arrays]
    ) -> None:
        self._read = read
        self._length = len(self.arrays.labels)
        super().__init__(split_name(source, self._length, use), classes)

    @cached_property
    def arrays(self) -> Arrays:
        """All examples; read-only, since ``example`` may return views of them."""
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
    """Return the SHA-256 of a list of parts.

    Each part is hashed after its length, so that different lists cannot have the same bytes.
    """
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.hexdigest()

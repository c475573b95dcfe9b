"""Ways to search for images, which ``netspec see codes`` compares: precision, size and speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.data.dataset import Dataset, Pixels
from netspec.see.encoder import Encoder
from netspec.see.ranking import NearestPoints, nearest_codes
from netspec.see.subject import Seen
from netspec.see.vectors import Vectors

KEPT = 6
"""Images that are found for each query."""
BLOCK = 2**26
"""Bytes of pixels that are in memory at once."""
TIMES, ENOUGH = 5, 0.2
"""How often a search is repeated to time it, at most, and the seconds after which it is not."""

T = TypeVar("T")


@dataclass(frozen=True)
class Method:
    """A way to search, and what it costs.

    Attributes:
        name: ``codes``, ``hyperplanes``, ``features`` or ``pixels``.
        bits: Length of a code; 0 for an exact search.
        bytes: Bytes per image of the index.
        precision: Precision at 6: the part of the six nearest images that have the class of the
            query, 0 to 1, mean of all queries; NaN if the data has one class.
        queries_per_second: Number of searches per second on this machine, without those of the net.
    """

    name: str
    bits: int
    bytes: int
    precision: float
    queries_per_second: float


class Comparison:
    """Searches of the same queries among the same images, in several ways.

    Attributes:
        kept: places of the nearest images and their distances, [Q, K], by name and bits.
    """

    def __init__(self, labels: NDArray[np.int64], wanted: NDArray[np.int64], classes: int) -> None:
        self._labels, self._wanted, self._classes = labels, wanted, classes
        self.kept: dict[tuple[str, int], tuple[NDArray[np.int64], NDArray[Any]]] = {}

    def codes(self, name: str, encoder: Encoder, images: Vectors, queries: Vectors) -> Method:
        """Search by the Hamming distance of codes."""
        there, wanted = encoder.encode(images.values), encoder.encode(queries.values)
        (nearest, distances), seconds = _timed(lambda: nearest_codes(there, wanted, KEPT))
        return self._method(name, encoder.bits, there.shape[1], nearest, distances, seconds)

    def features(self, images: Vectors, queries: Vectors) -> Method:
        """Search by the Euclidean distance of activations."""
        there, wanted = _array(images.values), _array(queries.values)

        def search() -> NearestPoints:
            nearest = NearestPoints(wanted, KEPT)
            nearest.add(np.arange(len(there)), there)
            return nearest

        nearest, seconds = _timed(search)
        size = images.values.shape[1] * images.values.dtype.itemsize
        return self._method("features", 0, size, nearest.numbers, nearest.squares, seconds)

    def pixels(
        self, seen: Seen, data: Dataset, numbers: Tensor, asked: Dataset, queries: Tensor
    ) -> Method:
        """Search by the Euclidean distance of the pixels that the net sees."""
        wanted = pixels_of(seen, asked, queries.numpy()).reshape(len(queries), -1)
        search, seconds = NearestPoints(wanted, KEPT), 0.0
        step = max(1, BLOCK // wanted.shape[1])
        for start in range(0, len(numbers), step):
            some = pixels_of(seen, data, numbers[start : start + step].numpy())
            begin = perf_counter()
            places = np.arange(start, start + len(some))
            search.add(places, some.reshape(len(some), -1))
            seconds += perf_counter() - begin
        return self._method("pixels", 0, wanted.shape[1], search.numbers, search.squares, seconds)

    def _method(
        self,
        name: str,
        bits: int,
        size: int,
        nearest: NDArray[np.int64],
        distances: NDArray[Any],
        seconds: float,
    ) -> Method:
        self.kept[name, bits] = nearest, distances
        is_same = self._labels[nearest] == self._wanted[:, np.newaxis]
        precision = float(is_same.mean()) if self._classes > 1 else nan
        return Method(name, bits, size, precision, len(nearest) / max(seconds, 1e-9))


def _timed(search: Callable[[], T]) -> tuple[T, float]:
    """Return what a search returns, and the seconds that it takes: the least of several times."""
    least, begin = inf, perf_counter()
    for _ in range(TIMES):
        before = perf_counter()
        result = search()
        now = perf_counter()
        least = min(least, now - before)
        if now > begin + ENOUGH:
            break
    return result, least


def _array(values: Tensor) -> NDArray[Any]:
    """Return activations as an array; NumPy does not have bfloat16."""
    return values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()


def pixels_of(seen: Seen, dataset: Dataset, numbers: NDArray[np.int64]) -> Pixels:
    """Return the parts of images that the net sees, [..., H, W, C]."""
    shown = [
        seen.preparation.sample(dataset.example(int(number)).pixels).pixels
        for number in numbers.ravel()
    ]
    return np.stack(shown).reshape(*numbers.shape, *shown[0].shape)

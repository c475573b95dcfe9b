"""Exact search for nearest images: by the Hamming distance of codes, and by Euclidean distance.

Of images with equal distances, the one with the smaller position comes first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 2**23
"""Elements of points that are converted to float64 at once."""
ROUNDING = 2.0**-53


def nearest_codes(
    codes: NDArray[np.uint8], queries: NDArray[np.uint8], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the codes with the smallest Hamming distances to each query.

    Args:
        codes: packed bits, [N, bytes].
        queries: packed bits, [Q, bytes].
        count: number K of codes for each query, at most N.

    Returns:
        Their positions and distances, the nearest first, [Q, K].
    """
    words, wanted = _words(codes), _words(queries)
    numbers = np.empty((len(queries), count), np.int64)
    distances = np.empty_like(numbers)
    for number, query in enumerate(wanted):
        bits = np.bitwise_count(words ^ query)
        apart = bits[:, 0] if words.shape[1] == 1 else bits.sum(1, dtype=np.uint16)
        numbers[number] = _first(apart, count)
        distances[number] = apart[numbers[number]]
    return numbers, distances


def _words(codes: NDArray[np.uint8]) -> NDArray[Any]:
    """Return codes as few wide integers, [N, words]; zeros are added to the last one."""
    size = next(size for size in (1, 2, 4, 8) if size >= min(codes.shape[1], 8))
    padded = np.pad(codes, [(0, 0), (0, -codes.shape[1] % size)])
    return np.ascontiguousarray(padded).view(f"u{size}")


def _first(distances: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return the positions of the ``count`` smallest distances, in order."""
    cutoff = np.partition(distances, count - 1)[count - 1]
    candidates = np.flatnonzero(distances <= cutoff)
    return candidates[np.argsort(distances[candidates], kind="stable")][:count]


class NearestPoints:
    """The points with the smallest Euclidean distances to each query.

    |a|^2 + |b|^2 - 2ab is quick to compute, and its rounding errors have a bound, so it decides
    which points may be among the nearest.  Of these the differences are squared and added, so that
    equal points have equal distances.

    Args:
        queries: [Q, D], of any type; computed in float64.
        count: number K of points for each query.

    Attributes:
        numbers: of the points so far, the nearest first, [Q, K] int64; -1 if there are fewer.
        squares: their squared distances, [Q, K] float64; infinity if there are fewer.
    """

    def __init__(self, queries: NDArray[Any], count: int) -> None:
        self._queries, self._count = queries, count
        self.numbers = np.full((len(queries), count), -1, np.int64)
        self.squares = np.full((len(queries), count), np.inf)

    def add(self, numbers: NDArray[np.int64], points: NDArray[Any]) -> None:
        """Add points [N, D] with their numbers [N], in increasing order."""
        step = max(1, BLOCK // max(1, points.shape[1]))
        for start in range(0, len(points), step):
            some = slice(start, start + step)
            self._add(numbers[some], points[some].astype(np.float64))

    def _add(self, numbers: NDArray[np.int64], points: NDArray[np.float64]) -> None:
        lengths = np.square(points).sum(1)
        step = max(1, BLOCK // max(points.shape))
        for start in range(0, len(self._queries), step):
            queries = self._queries[start : start + step].astype(np.float64)
            own = np.square(queries).sum(1)
            squares = lengths - 2 * (queries @ points.T) + own[:, np.newaxis]
            # Higham 2002, section 3.1: a sum of D products is wrong by at most D u |a| |b|, and
            # the three sums together by D u (|a| + |b|)^2; some roundings more are in the 4.  Both
            # sides of a comparison are wrong by that much, and so is the sum of differences.
            reach = (np.sqrt(lengths.max()) + np.sqrt(own)) ** 2
            slack = 4 * (points.shape[1] + 4) * ROUNDING * reach
            for place, row in enumerate(squares):
                self._merge(start + place, numbers, points, queries[place], row, slack[place])

    def _merge(
        self,
        query: int,
        numbers: NDArray[np.int64],
        points: NDArray[np.float64],
        wanted: NDArray[np.float64],
        squares: NDArray[np.float64],
        slack: float,
    ) -> None:
        cutoff = self.squares[query, -1]
        if len(squares) > self._count:
            cutoff = min(cutoff, np.partition(squares, self._count - 1)[self._count - 1])
        candidates = np.flatnonzero(squares <= cutoff + slack)
        exact = np.square(points[candidates] - wanted).sum(1)
        everything = np.concatenate([self.squares[query], exact])
        named = np.concatenate([self.numbers[query], numbers[candidates]])
        order = np.argsort(everything, kind="stable")[: self._count]
        self.squares[query], self.numbers[query] = everything[order], named[order]

"""Exact search: the same as sorting all distances, with ties in the order of positions."""

from __future__ import annotations

import numpy as np
import pytest

from netspec.see import ranking
from netspec.see.ranking import NearestPoints, nearest_codes

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 16, 64])
def test_the_nearest_codes_are_those_of_all_distances(size: int) -> None:
    # few different codes, so that many distances are equal
    codes = RANDOM.choice(RANDOM.integers(0, 256, (30, size), np.uint8), 200)
    queries = RANDOM.integers(0, 256, (7, size), np.uint8)
    numbers, distances = nearest_codes(codes, queries, 6)
    for query, of_query, apart in zip(queries, numbers, distances, strict=True):
        bits = np.unpackbits(codes, axis=1) != np.unpackbits(query)
        expected = np.lexsort([np.arange(200), bits.sum(1)])[:6]
        assert of_query.tolist() == expected.tolist()
        assert apart.tolist() == bits.sum(1)[expected].tolist()


def test_all_codes_can_be_asked_for() -> None:
    codes = np.array([[7], [0], [7], [1]], np.uint8)
    numbers, distances = nearest_codes(codes, np.array([[7]], np.uint8), 4)
    assert numbers.tolist() == [[0, 2, 3, 1]]
    assert distances.tolist() == [[0, 0, 2, 3]]


def brute(points: np.ndarray, queries: np.ndarray, count: int) -> tuple[list, list]:
    """Numbers and squared distances by the definition."""
    squares = np.square(points.astype(np.float64)[None] - queries.astype(np.float64)[:, None])
    sums = squares.sum(2)
    order = np.argsort(sums, axis=1, kind="stable")[:, :count]
    return order.tolist(), np.take_along_axis(sums, order, 1).tolist()


@pytest.mark.parametrize("block", [2**23, 50])
@pytest.mark.parametrize("offset", [0, 1e6])
def test_the_nearest_points_are_those_of_all_distances(
    block: int, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # with a large offset, |a|^2 + |b|^2 - 2ab has the rounding errors of numbers of 1e13, which are
    # larger than the differences of distances
    monkeypatch.setattr(ranking, "BLOCK", block)
    points = (RANDOM.normal(size=(90, 10)) * 1e-3 + offset).astype(np.float64)
    points[40:60] = points[10:30]  # equal points: the one before comes first
    queries = points[::9] + 1e-6
    nearest = NearestPoints(queries, 6)
    nearest.add(np.arange(50), points[:50])
    nearest.add(np.arange(50, 90), points[50:])
    numbers, squares = brute(points, queries, 6)
    assert nearest.numbers.tolist() == numbers
    assert nearest.squares.tolist() == squares


def test_pixels_are_compared_as_whole_numbers() -> None:
    points = RANDOM.integers(0, 256, (40, 12), np.uint8)
    nearest = NearestPoints(points[:5], 3)
    nearest.add(np.arange(40), points)
    numbers, squares = brute(points, points[:5], 3)
    assert nearest.numbers.tolist() == numbers
    assert nearest.squares.tolist() == squares
    assert nearest.squares[:, 0].tolist() == [0] * 5


def test_fewer_points_than_asked_for() -> None:
    nearest = NearestPoints(np.zeros((1, 2)), 3)
    nearest.add(np.array([4, 8]), np.array([[3.0, 4.0], [0.0, 1.0]]))
    assert nearest.numbers.tolist() == [[8, 4, -1]]
    assert nearest.squares.tolist() == [[1, 25, np.inf]]

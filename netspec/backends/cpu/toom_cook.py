"""Matrices of Toom and Cook's algorithm for short convolutions, in exact arithmetic.

m outputs of a filter with r taps, y[i] = sum over k of g[k] d[i + k], are computed with
n = m + r - 1 products instead of m r:

    y = A ((G g) * (B d))

The filter and the data are read as polynomials.  Their values at n - 1 points, and their leading
coefficients (the "point" infinity), are multiplied and interpolated.  Winograd showed that n
products are the minimum (1980, "Arithmetic complexity of computations"); Lavin and Gray apply it to
convolutional networks (2016, "Fast algorithms for convolutional neural networks").
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import prod
from typing import NamedTuple

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS = (Fraction(0), *(sign * Fraction(p) for p in ("1", "2", "1/2") for sign in (1, -1)))
"""The points in the order in which they are used.  Small numbers and their inverses keep the
rounding errors small."""


class Transforms(NamedTuple):
    """The matrices of an algorithm.

    Attributes:
        outputs: A, [m, n]: from products to outputs.
        weights: G, [n, r]: from taps to factors.  The first factor is the first tap, and the last
            factor is the last tap.
        data: B, [n, n]: from data to factors.
    """

    outputs: Matrix
    weights: Matrix
    data: Matrix

    @property
    def growth(self) -> float:
        """The largest |y| for |d| <= 1 and |g| <= 1, if every sum were of absolute values."""
        data, weights = _sums(self.data), _sums(self.weights)
        return max(
            float(sum(abs(a) * w * d for a, w, d in zip(row, weights, data, strict=True)))
            for row in self.outputs
        )


def _sums(matrix: Matrix) -> list[Fraction]:
    """Return the sum of the absolute values of each row."""
    return [sum(map(abs, row), Fraction(0)) for row in matrix]


@cache
def transforms(outputs: int, taps: int) -> Transforms:
    """Return the matrices for m outputs of a filter with r taps."""
    n = outputs + taps - 1
    points = POINTS[: n - 1]
    assert len(points) == n - 1, "more points are needed"
    last = Fraction(1)
    # d is multiplied by the transposed interpolation of Lagrange: row j has the coefficients of the
    # product of (x - p) over all other points p.
    data = [_padded(_from_roots([p for p in points if p != q]), n) for q in points]
    data.append(_padded(_from_roots(points), n))
    scales = [prod((q - p for p in points if p != q), start=Fraction(1)) for q in points]
    weights = [[q**k / scale for k in range(taps)] for q, scale in zip(points, scales, strict=True)]
    weights.append([last if k == taps - 1 else Fraction(0) for k in range(taps)])
    to_outputs = [
        [*(q**i for q in points), last if i == outputs - 1 else Fraction(0)] for i in range(outputs)
    ]
    # The factor of the point 0 is the first tap / scale.  The scale moves to the data.
    weights[0] = [w * scales[0] for w in weights[0]]
    data[0] = [d / scales[0] for d in data[0]]
    return Transforms(_frozen(to_outputs), _frozen(weights), _frozen(data))


def _from_roots(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of the product of (x - root), the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [-root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _padded(row: list[Fraction], size: int) -> list[Fraction]:
    return row + [Fraction(0)] * (size - len(row))


def _frozen(matrix: Sequence[Sequence[Fraction]]) -> Matrix:
    return tuple(map(tuple, matrix))

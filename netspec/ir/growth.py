"""Bounds of how much an operator can enlarge its operands.

They give the magnitude of the operands up to which nothing overflows, so that no infinity and no
NaN can arise.
"""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Growth(NamedTuple):
    """A bound of an operator's result: |y| <= min(gain max|x| + offset, most), for every finite x.

    Attributes:
        gain, offset, most: as above.
        peak: no intermediate value exceeds peak max|x| + offset.
    """

    gain: float
    offset: float = 0.0
    most: float = inf
    peak: float = 1.0

    def bound(self, x: float) -> float:
        """Return the bound of |y| for all |x| up to ``x``; infinity if there is none."""
        y = self.gain * x + self.offset
        return inf if x == inf or isnan(y) else min(y, self.most)

    def then(self, outer: Growth) -> Growth:
        """Return the growth of outer(f(x)), where this is the growth of f."""
        # An intermediate value of outer is at most factor |f(x)| + outer.offset.
        factor = max(outer.gain, outer.peak, key=_nan_first)
        most = 0.0 if outer.gain == 0 else outer.gain * self.most
        return Growth(
            outer.gain * self.gain,
            factor * self.offset + outer.offset,
            most=min(outer.most, most + outer.offset),
            peak=max(self.peak, factor * self.gain, key=_nan_first),
        )

    def domain(self, largest: float) -> float:
        """Return the |x| up to which no value exceeds ``largest``; -infinity if there is none."""
        x = (largest - self.offset) / max(self.gain, self.peak, key=_nan_first)
        return x if x > 0 else -inf


def _nan_first(number: float) -> float:
    # max() ignores a NaN that is not its first argument; with this key it returns the NaN.
    return inf if isnan(number) else number


UNKNOWN = Growth(inf)
"""The growth of an operator whose result has no known bound."""

KEEPING = Growth(1.0)
"""The growth of an operator whose values are values of its operands, means of them, or 0."""


def normalised(k: float, alpha: float, beta: float) -> Growth:
    """Return the growth of y = x / (k + alpha sum) ^ beta, for a sum of squares with x^2 in it."""
    try:
        gain, most = k**-beta, inf
        if alpha > 0 and beta > 0.5:
            # With only its own square in the sum, an output is x / (k + alpha x^2)^beta; other
            # squares make it smaller.  It is largest where alpha x^2 = k / (2 beta - 1).
            square = k / (2 * beta - 1)
            most = (square / alpha) ** 0.5 * (k + square) ** -beta
    except OverflowError:
        return UNKNOWN
    return Growth(gain, most=most)


FEW = 2**20
"""The largest number of weights whose rows are summed.  It covers every convolution, but not large
matrices, whose sums would take as long as packing them."""


def weighted(weight: Tensor, bias: Tensor | None, terms: int) -> Growth:
    """Return the growth of y[o] = sum of w[o, i] x[i] + bias[o].

    The gain is the largest sum of |w| of a row.  For more than :data:`FEW` weights it is
    terms max|w|, a larger bound that is faster to compute.  A NaN in a tensor makes the bound NaN.

    Args:
        weight: [rows, ...]; a row has all weights of an output, and may have those of several.
        bias: [outputs], or None.
        terms: the largest number of products in a sum.
    """
    import torch

    if weight.numel() <= FEW:
        wide = torch.promote_types(weight.dtype, torch.float32)
        gain = largest(weight.flatten(1).abs().sum(1, dtype=wide))
    else:
        gain = terms * largest(weight)
    return Growth(gain, 0.0 if bias is None else largest(bias))


def largest(x: Tensor) -> float:
    """Return max|x|; NaN if ``x`` contains a NaN, 0 if it is empty."""
    import torch

    if not x.numel():
        return 0.0
    low, high = torch.aminmax(x)
    return max(-float(low), float(high))

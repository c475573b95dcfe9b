"""How much an operator can enlarge its operands: bounds that hold for every operand.

They say up to which magnitude nothing overflows, and so neither infinity nor NaN can arise.
"""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Growth(NamedTuple):
    """|y| <= min(gain max|x| + offset, most), for every finite x.

    Attributes:
        gain, offset, most: as above.
        peak: nothing that is computed on the way exceeds peak max|x| + offset.
    """

    gain: float
    offset: float = 0.0
    most: float = inf
    peak: float = 1.0

    def bound(self, x: float) -> float:
        """Return a bound of |y| for |x| up to this one; infinity if there is none."""
        y = self.gain * x + self.offset
        return inf if x == inf or isnan(y) else min(y, self.most)

    def domain(self, largest: float) -> float:
        """Return up to which |x| nothing exceeds ``largest``; -infinity if something always may."""
        x = (largest - self.offset) / max(self.gain, self.peak, key=_nan_first)
        return x if x > 0 else -inf


def _nan_first(number: float) -> float:
    return inf if isnan(number) else number


UNKNOWN = Growth(inf)
"""That of an operator of which nothing is known."""

KEEPING = Growth(1.0)
"""That of an operator whose values are some of its operands', or means of them, or 0."""


FEW = 2**20
"""Weights of which sums are taken: those of any convolution, not those of large matrices, where it
would take as long as packing them."""


def weighted(weight: Tensor, bias: Tensor | None, terms: int) -> Growth:
    """Return the growth of sums of products with weights [rows, ...], plus a bias.

    The gain is the largest of the rows' sums of |w|, or, for many weights, terms max|w|.  NaN in a
    tensor makes it NaN.

    Args:
        weight: each row has the weights of an output, or more of them.
        bias: what is added, if anything.
        terms: the most products in a sum.
    """
    import torch

    if weight.numel() <= FEW:
        wide = torch.promote_types(weight.dtype, torch.float32)
        gain = largest(weight.flatten(1).abs().sum(1, dtype=wide))
    else:
        gain = terms * largest(weight)
    return Growth(gain, 0.0 if bias is None else largest(bias))


def largest(x: Tensor) -> float:
    """Return the largest magnitude in a tensor; NaN if there is a NaN, 0 if it is empty."""
    import torch

    if not x.numel():
        return 0.0
    low, high = torch.aminmax(x)
    return max(-float(low), float(high))

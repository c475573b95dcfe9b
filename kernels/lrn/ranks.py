"""Comparisons for a max-pool of LRN(x): values ordered as b = x s^-beta, and their maxima."""

from __future__ import annotations

import triton
import triton.language as tl

from netspec.kernels.lrn.scales import powers
from netspec.kernels.tuples import append


@triton.jit
def larger(a, b):
    """Return the maximum; NaN if one of the values is NaN, as in PyTorch."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def largest(values, FIRST: tl.constexpr, COUNT: tl.constexpr):
    """Return the maximum of COUNT members of a tuple, from FIRST on."""
    maximum = values[FIRST]
    for i in tl.static_range(1, COUNT):
        maximum = larger(maximum, values[FIRST + i])
    return maximum


@triton.jit
def larger_of_each(a, b, COLUMNS: tl.constexpr):
    """Return the maxima of two tuples, member by member."""
    maxima = ()
    for column in tl.static_range(COLUMNS):
        maxima = append(maxima, larger(a[column], b[column]))
    return maxima


@triton.jit
def rank(x, s, BETA: tl.constexpr):
    """Return a value that has the same order as b = x s^-beta, but is faster to compute.

    For beta = 0.75 it is b |b|, which needs one reciprocal square root; b itself needs two, and
    these roots would limit the kernel, not bandwidth.  A square below the smallest normal number is
    flushed to 0, so a maximum below its root, 1.1e-19 in float32, may become 0.
    """
    if BETA == 0.75:
        root = tl.rsqrt(s)
        half = x * root
        return half * tl.abs(half) * root
    else:
        power, _ = powers(s, BETA)
        return x * power


@triton.jit
def value(ranks, BETA: tl.constexpr):
    """Return b for its rank; the inverse of :func:`rank`."""
    if BETA == 0.75:
        root = tl.sqrt(tl.abs(ranks))
        return tl.where(ranks < 0, -root, root)
    else:
        return ranks

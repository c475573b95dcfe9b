"""What a pool of LRN(x) compares: ranks, in the order of b = x s^-beta, and their maxima."""

from __future__ import annotations

import triton
import triton.language as tl

from netspec.kernels.lrn.scales import powers
from netspec.kernels.tuples import append


@triton.jit
def larger(a, b):
    """The maximum, where NaN wins as it does in PyTorch."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def largest(values, FIRST: tl.constexpr, COUNT: tl.constexpr):
    """The maximum of COUNT members of a tuple."""
    maximum = values[FIRST]
    for i in tl.static_range(1, COUNT):
        maximum = larger(maximum, values[FIRST + i])
    return maximum


@triton.jit
def larger_of_each(a, b, COLUMNS: tl.constexpr):
    """The maxima of two tuples, member by member."""
    maxima = ()
    for column in tl.static_range(COLUMNS):
        maxima = append(maxima, larger(a[column], b[column]))
    return maxima


@triton.jit
def rank(x, s, BETA: tl.constexpr):
    """What the largest b = x s^-beta has the largest of.

    For beta = 0.75 it is b |b|, which takes one reciprocal square root where b takes a second
    root: those roots, not bandwidth, are what the kernel would wait for.  A square below the
    smallest normal number is flushed, so a maximum below its root, 1.1e-19 in float32, may come
    out as 0.
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
    """b of its rank."""
    if BETA == 0.75:
        root = tl.sqrt(tl.abs(ranks))
        return tl.where(ranks < 0, -root, root)
    else:
        return ranks

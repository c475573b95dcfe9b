"""Tuples of tensors in kernels, for loops that are unrolled at compile time."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def append(values, value):
    """Return the tuple with one more value."""
    return values + (value,)  # noqa: RUF005 - Triton reads no starred tuples


@triton.jit
def apart(x, SIZE: tl.constexpr):
    """Return the columns of x [BLOCK, SIZE] as a tuple of SIZE tensors [BLOCK].

    SIZE is a power of two.
    """
    if SIZE == 1:
        return (tl.reshape(x, (x.shape[0],)),)
    else:
        even, odd = tl.split(tl.reshape(x, (x.shape[0], SIZE // 2, 2)))
        evens = apart(even, SIZE // 2)
        odds = apart(odd, SIZE // 2)
        columns = ()
        for i in tl.static_range(SIZE // 2):
            columns = append(append(columns, evens[i]), odds[i])
        return columns


@triton.jit
def together(columns, SIZE: tl.constexpr, FIRST: tl.constexpr = 0, STEP: tl.constexpr = 1):
    """Return SIZE columns as one tensor [BLOCK, SIZE]; the inverse of :func:`apart`.

    The columns are columns[FIRST], columns[FIRST + STEP], and so on.
    """
    if SIZE == 1:
        return tl.reshape(columns[FIRST], (columns[FIRST].shape[0], 1))
    else:
        even = together(columns, SIZE // 2, FIRST, 2 * STEP)
        odd = together(columns, SIZE // 2, FIRST + STEP, 2 * STEP)
        return tl.reshape(tl.join(even, odd), (even.shape[0], SIZE))

"""Channels in chunks: neighbouring channels of 16 bytes a thread, and those left and right of them.

A window over channels needs every value n times.  Loads shifted by one channel would be two bytes
wide and n times as many.  So a thread loads a chunk at once, and the few channels beside it, its
*halo*, at once too; from there on every channel is a value by itself, and windows are sums over a
tuple of ``[BLOCK]`` tensors, in registers.

    | halo | chunk           | halo |
           first channel ^
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.layout import pitch
from netspec.kernels.tuples import apart, append


def chunk_of(*maps: Tensor) -> int:
    """Channels of a chunk: 16 bytes of them (32 of float64, so that windows of 5 still fit)."""
    return max(4, 16 // maps[0].element_size())


def fits(part: int, halo: int, *maps: Tensor) -> bool:
    """Whether chunks can cover the channels of maps, in parts of ``part`` channels.

    They must cover each part and each distance between pixels evenly, and no halo may reach beyond
    the next chunk.
    """
    chunk = chunk_of(*maps)
    evenly = [part, *(pitch("a map", x) for x in maps)]
    return halo <= chunk and all(size % chunk == 0 for size in evenly)


@triton.jit
def neighbourhood(
    x_at, is_inside, place, CHUNKS: tl.constexpr, HALO: tl.constexpr, CHUNK: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """The HALO + CHUNK + HALO channels around the chunks that ``x_at`` [BLOCK] points to.

    ``place`` counts chunks from the first one of their part, which has CHUNKS of them; channels of
    other parts read 0.
    """
    own = tl.load(
        x_at[:, None] + tl.arange(0, CHUNK)[None, :], mask=is_inside[:, None], other=0.0
    )  # fmt: skip
    halo = tl.arange(0, HALO)[None, :]
    left = tl.load(
        x_at[:, None] - HALO + halo, mask=(is_inside & (place > 0))[:, None], other=0.0
    )  # fmt: skip
    right = tl.load(
        x_at[:, None] + CHUNK + halo, mask=(is_inside & (place < CHUNKS - 1))[:, None], other=0.0
    )
    return (
        apart(left.to(ACCUMULATOR), HALO)
        + apart(own.to(ACCUMULATOR), CHUNK)
        + apart(right.to(ACCUMULATOR), HALO)
    )


@triton.jit
def window_sums(x, N: tl.constexpr, COUNT: tl.constexpr, STEP: tl.constexpr = 1):
    """x[i] + x[i + STEP] + ... (N of them) for each i below COUNT.

    Sums of two serve twice: a window of 5 takes 3 additions, not 4.  Nothing is ever subtracted, so
    a large value leaves no trace in the windows that it is not in.
    """
    sums = ()
    if N == 1:
        for i in tl.static_range(COUNT):
            sums = append(sums, x[i])
        return sums
    elif N % 2 == 0:
        for i in tl.static_range(COUNT + (N - 2) * STEP):
            sums = append(sums, x[i] + x[i + STEP])
        return window_sums(sums, N // 2, COUNT, 2 * STEP)
    else:
        rest = window_sums(x, N - 1, COUNT, STEP)
        for i in tl.static_range(COUNT):
            sums = append(sums, rest[i] + x[i + (N - 1) * STEP])
        return sums

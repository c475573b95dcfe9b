"""Read channels in chunks: 16 bytes of adjacent channels per thread, and the channels next to them.

A window over channels needs every value n times.  Loads that are shifted by one channel would be
two bytes wide, and there would be n times as many.  So a thread loads a chunk with one load, and
the few channels next to it, its *halo*, with one load per side.  After that, each channel is a
separate ``[BLOCK]`` tensor in registers, and windows are sums over a tuple of them.

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
    """Return the channels of a chunk: 16 bytes (32 for float64, so that windows of 5 still fit)."""
    return max(4, 16 // maps[0].element_size())


def fits(part: int, halo: int, *maps: Tensor) -> bool:
    """Return True if chunks can cover the channels of maps, in parts of ``part`` channels.

    The size of a chunk must divide each part and each pitch, and the halo must not be larger than a
    chunk.
    """
    chunk = chunk_of(*maps)
    evenly = [part, *(pitch("a map", x) for x in maps)]
    return halo <= chunk and all(size % chunk == 0 for size in evenly)


@triton.jit
def neighbourhood(
    x_at, is_inside, place, CHUNKS: tl.constexpr, HALO: tl.constexpr, CHUNK: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Return the HALO + CHUNK + HALO channels around the chunks that ``x_at`` [BLOCK] points to.

    ``place`` is the index of a chunk in its part, which has CHUNKS chunks; channels of other parts
    read 0.
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
    """Return x[i] + x[i + STEP] + ... (N terms) for each i below COUNT.

    Sums of two values are used twice: a window of 5 takes 3 additions, not 4.  There is no running
    sum with subtractions, since a large value would leave rounding errors in windows that do not
    contain it.
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

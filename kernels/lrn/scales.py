"""Shared parts of the LRN kernels: s, its powers, and the division of channels.

    s[i] = k + alpha sum over j in W(i) of x[j]^2

for every pixel.  W(i) are the n channels around i that are in the same part as i; the channels are
divided into ``groups`` parts, as on AlexNet's two GPUs.  alpha is not divided by n.

If :func:`is_chunked`, kernels read channels in chunks (``chunks.py``).  Otherwise, for parts that
are not a multiple of a chunk and for wide windows, they use one load per channel of the window,
each shifted by one channel.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.launch import Launch, blocks, power_of_two
from netspec.kernels.lrn.chunks import chunk_of, fits, window_sums
from netspec.kernels.tuples import append

# --------------------------------------------------------------------------------- configurations

BLOCK = 128
"""Chunks per program: one per thread, so that a multiprocessor can hold many threads."""

AREA = 1024
"""Elements per program of the kernels with shifted loads."""


def is_chunked(reach: int, part: int, *maps: Tensor) -> bool:
    """Return True if a kernel can read the channels of maps in chunks.

    ``reach`` is the number of channels that it needs on each side: n // 2 forward, and twice that
    backward.
    """
    return fits(part, power_of_two(reach), *maps)


def window(channels: int, n: int, groups: int) -> tuple[int, int]:
    """Return the channels of a part, and the channels of a window on each side of its middle."""
    part = channels // groups
    return part, min(n // 2, part - 1)


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def powers(s, BETA: tl.constexpr):
    """Return (s^-beta, s^-1) without a call of pow; s is positive."""
    if BETA == 0.75:
        root = tl.rsqrt(s)
        return root * tl.sqrt(root), root * root
    elif BETA == 0.5:
        root = tl.rsqrt(s)
        return root, root * root
    elif BETA == 1:
        inverse = 1 / s
        return inverse, inverse
    elif BETA == 0:  # a separate case, since 0 * log2(s) would be NaN if s has overflown
        return tl.full(s.shape, 1, s.dtype), 1 / s
    else:
        return tl.exp2(-BETA * tl.log2(s)), 1 / s


@triton.jit
def scales(
    x, FIRST: tl.constexpr, COUNT: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr,
):  # fmt: skip
    """Return s of the COUNT channels whose windows begin at x[FIRST], x[FIRST + 1], ..."""
    squares = ()
    for i in tl.static_range(COUNT + N - 1):
        squares = append(squares, x[FIRST + i] * x[FIRST + i])
    sums = window_sums(squares, N, COUNT)
    s = ()
    for i in tl.static_range(COUNT):
        s = append(s, K + ALPHA * sums[i])
    return s


@triton.jit
def shifted_scale(
    x_at, is_inside, place, part, reach,
    K: tl.constexpr, ALPHA: tl.constexpr, ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Return s of the channels that x_at points to, each at ``place`` in its part; any shape."""
    total = tl.zeros(x_at.shape, ACCUMULATOR)
    for step in range(2 * reach + 1):
        there = place + (step - reach)
        is_there = is_inside & (there >= 0) & (there < part)
        x = tl.load(x_at + (step - reach), mask=is_there, other=0.0).to(ACCUMULATOR)
        total += x * x
    return K + ALPHA * total


# --------------------------------------------------------------------------------------- launches


def constants(k: float, alpha: float, beta: float, dtype: torch.dtype) -> dict[str, Any]:
    """Return the attributes as compile-time arguments; run-time floats would be float32."""
    return {"K": k, "ALPHA": alpha, "BETA": beta, "ACCUMULATOR": accumulator(dtype)}


def chunk_constants(x: Tensor, part: int, reach: int) -> dict[str, int]:
    """Return the compile-time arguments of kernels that read the channels of ``x`` in chunks."""
    return {
        "CHANNELS": x.shape[3],
        "PART": part,
        "HALO": power_of_two(reach),
        "N": 2 * reach + 1,
        "BLOCK": BLOCK,
        "CHUNK": chunk_of(x),
    }


def chunked_launch(
    kernel: Any, arguments: dict[str, Any], x: Tensor, part: int, reach: int
) -> Launch:
    """Return the launch of a kernel over all chunks of a map like ``x``."""
    items = x.numel() // chunk_of(x)
    arguments = arguments | chunk_constants(x, part, reach) | {"items": items}
    return Launch(kernel, (blocks(items, BLOCK),), arguments)


def shifted_launch(
    kernel: Any, arguments: dict[str, Any], x: Tensor, part: int, reach: int
) -> Launch:
    """Return the launch of a kernel over all pixels and channels of a map like ``x``."""
    channels = x.shape[3]
    pixels = x.numel() // channels
    columns = min(power_of_two(channels), 128)
    rows = AREA // columns
    arguments = arguments | {
        "pixels": pixels,
        "channels": channels,
        "part": part,
        "reach": reach,
        "ROWS": rows,
        "COLUMNS": columns,
    }
    return Launch(kernel, (blocks(pixels, rows), blocks(channels, columns)), arguments)


# ---------------------------------------------------------------------------------------- shipped

LAYERS = (
    (55, 96, 5, 2.0, 1e-4, 2),
    (27, 256, 5, 2.0, 1e-4, 2),
    (56, 64, 5, 1.0, 2e-5, 1),
    (56, 192, 5, 1.0, 2e-5, 1),
)
"""Layers of AlexNet and GoogLeNet, for which the configurations are made: height and width,
channels, n, k, alpha, groups; beta is 0.75."""

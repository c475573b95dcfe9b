"""Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3).

    y[i] = x[i] s[i]^-beta

for every pixel, with s as in ``scales.py``.  With chunks, x is read once and y is written once.  In
bfloat16 with n = 5 on sm_90 that takes 18 instructions per element (counted, not measured).  An
H200 at 1.75 GHz has time for 31 instructions while it moves 4 bytes at 88 % of 4.3 TB/s.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.launch import Launch
from netspec.kernels.layout import pitch
from netspec.kernels.lrn.chunks import neighbourhood
from netspec.kernels.lrn.scales import (
    LAYERS,
    chunked_launch,
    constants,
    is_chunked,
    powers,
    scales,
    shifted_launch,
    shifted_scale,
    window,
)
from netspec.kernels.tuples import append, together

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def normalised(
    x_at, is_inside, place, CHUNKS: tl.constexpr, HALO: tl.constexpr, CHUNK: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Return y of the chunks that x_at points to: [BLOCK, CHUNK]."""
    x = neighbourhood(x_at, is_inside, place, CHUNKS, HALO, CHUNK, ACCUMULATOR)
    s = scales(x, HALO - N // 2, CHUNK, N, K, ALPHA)
    y = ()
    for i in tl.static_range(CHUNK):
        power, _ = powers(s[i], BETA)
        y = append(y, x[HALO + i] * power)
    return together(y, CHUNK)


@triton.jit
def chunked(
    x_ptr, y_ptr, x_pitch, y_pitch, items,
    CHANNELS: tl.constexpr, PART: tl.constexpr, HALO: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    ACCUMULATOR: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Compute BLOCK chunks of y; the chunks of a pixel are consecutive items."""
    item = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pixel = (item // (CHANNELS // CHUNK)).to(tl.int64)
    chunk = item % (CHANNELS // CHUNK)
    is_inside = item < items
    # Triton detects only divisibility by 16: this tells it that CHUNK divides the values
    x_at = x_ptr + pixel * (x_pitch // CHUNK * CHUNK) + chunk * CHUNK
    y_at = y_ptr + pixel * (y_pitch // CHUNK * CHUNK) + chunk * CHUNK
    y = normalised(
        x_at, is_inside, chunk % (PART // CHUNK), PART // CHUNK, HALO, CHUNK,
        N, K, ALPHA, BETA, ACCUMULATOR,
    )  # fmt: skip
    tl.store(
        y_at[:, None] + tl.arange(0, CHUNK)[None, :],
        y.to(y_ptr.dtype.element_ty),
        mask=is_inside[:, None],
    )


@triton.jit
def shifted(
    x_ptr, y_ptr, x_pitch, y_pitch, pixels, channels, part, reach,
    K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr, ACCUMULATOR: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Compute y of ROWS pixels x COLUMNS channels."""
    pixel = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    c = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    is_inside = (pixel < pixels) & (c < channels)
    x_at = x_ptr + pixel * x_pitch + c
    s = shifted_scale(x_at, is_inside, c % part, part, reach, K, ALPHA, ACCUMULATOR)
    power, _ = powers(s, BETA)
    y = tl.load(x_at, mask=is_inside, other=0.0).to(ACCUMULATOR) * power
    tl.store(y_ptr + pixel * y_pitch + c, y.to(y_ptr.dtype.element_ty), mask=is_inside)


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int
) -> list[Launch]:
    """Return the launch of y = LRN(x); x and y are [N, H, W, C], or slices of channels."""
    if x.numel() == 0:
        return []
    part, reach = window(x.shape[3], n, groups)
    arguments = constants(k, alpha, beta, x.dtype) | {
        "x_ptr": x,
        "y_ptr": y,
        "x_pitch": pitch("x", x),
        "y_pitch": pitch("y", y),
    }
    if is_chunked(reach, part, x, y):
        return [chunked_launch(chunked, arguments, x, part, reach)]
    return [shifted_launch(shifted, arguments, x, part, reach)]


# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the launches of the layers at batch 32, on the ``meta`` device."""
    for size, channels, n, k, alpha, groups in LAYERS:
        x = torch.empty(32, size, size, channels, dtype=dtype, device="meta")
        (launch,) = launches(x, torch.empty_like(x), n, k, alpha, 0.75, groups)
        yield f"lrn forward {size}x{size}x{channels}, {groups} groups", launch

"""LRN followed by overlapping max-pooling in one kernel, for inference.

    y[h, w, c] = max over r, s of b[h stride_h + r - top, w stride_w + s - left, c],  b = LRN(x)

with b as in ``forward.py``, and minus infinity as padding (Krizhevsky et al. 2012, sections 3.3
and 3.4).  If the pool rounds sizes up, bottom and right include the overhang.

A 3x3/2 pool in bfloat16 moves 2.5 bytes per input element: 2 read and 1/4 x 2 written.  Separate
kernels of LRN and pool move 6.5.  So the number of instructions is the limit.  On average 9/4
windows need each b.  Therefore a thread computes a chunk of channels of COLUMNS adjacent outputs,
goes down ``rows`` rows of outputs, and keeps the maxima of the rows that two windows share.  It
normalises each element (2 COLUMNS + 1) / (2 COLUMNS) x (2 rows + 1) / (2 rows) times: 1.33 times
for 2 columns and 8 rows, instead of 2.25 times.  Compiled for sm_90 with n = 5, this takes 568
instructions per row of 5 pixels and 146 per output row: per input element 21 for 8 rows or 25 for 2
rows, and 1.4 reciprocal roots.  An H200 that moves 2.5 bytes per element at 80 % of 4.3 TB/s has
time for 24 (132 multiprocessors at 1.98 GHz), so both limits are about equal.  These numbers are
counted, not measured.

Pixels in the padding are not masked, but replaced by the nearest pixel inside.  That pixel is in
the same window, so the maximum does not change.  Windows without a pixel inside are minus infinity.

The kernel supports shapes with :func:`is_walked`.  For others, each output is computed separately
from all windows of LRN in its window of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.launch import MULTIPROCESSORS, Launch, blocks, power_of_two
from netspec.kernels.layout import pitch
from netspec.kernels.lrn.chunks import chunk_of, neighbourhood
from netspec.kernels.lrn.ranks import larger, larger_of_each, largest, rank, value
from netspec.kernels.lrn.scales import (
    BLOCK,
    chunk_constants,
    constants,
    is_chunked,
    powers,
    scales,
    shifted_scale,
    window,
)
from netspec.kernels.tuples import append, together
from netspec.kernels.windows import Windows, windows_over

# --------------------------------------------------------------------------------- configurations

COLUMNS = 2
"""Adjacent outputs per thread: more outputs share more work, but leave fewer threads."""

ROWS = 8
"""Maximum number of output rows per thread."""

PROGRAMS = 4 * MULTIPROCESSORS
"""Number of programs that fill a GPU."""

AREA = 512
"""Outputs per program of the kernel for any shape."""


def is_walked(windows: Windows, reach: int, part: int, x: Tensor, y: Tensor) -> bool:
    """Return True if the fast kernel can be used: chunks fit, and windows are small enough to
    unroll."""
    return max(windows.kernel) <= 3 and is_chunked(reach, part, x, y)


def overlap_of(windows: Windows) -> int:
    """Return the rows that a window shares with the next; 0 if it shares rows with others too."""
    shared = windows.kernel[0] - windows.stride[0]
    return shared if 0 < shared <= windows.stride[0] else 0


def rows_of(height_out: int, threads_of_row: int) -> int:
    """Return the output rows per thread: as many as leave enough programs for the GPU."""
    rows = min(ROWS, height_out)
    while rows > 1 and blocks(threads_of_row, BLOCK) * blocks(height_out, rows) < PROGRAMS:
        rows -= 1
    return rows


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def maxima_of_row(
    x_at, h, left, height, width, x_pitch, is_inside, place,
    CHUNKS: tl.constexpr, HALO: tl.constexpr, CHUNK: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    ACCUMULATOR: tl.constexpr, KERNEL_W: tl.constexpr, STRIDE_W: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    """Return the largest ranks in row h of COLUMNS windows, from column ``left`` on.

    Each is [BLOCK, CHUNK].

    ``x_at`` [BLOCK] points to pixel (0, 0) of each image.
    """
    row_at = x_at + tl.minimum(tl.maximum(h, 0), height - 1).to(tl.int64) * width * x_pitch
    row = ()
    for step in tl.static_range((COLUMNS - 1) * STRIDE_W + KERNEL_W):
        v = tl.minimum(tl.maximum(left + step, 0), width - 1)
        x = neighbourhood(
            row_at + v.to(tl.int64) * x_pitch, is_inside, place, CHUNKS, HALO, CHUNK, ACCUMULATOR
        )  # fmt: skip
        s = scales(x, HALO - N // 2, CHUNK, N, K, ALPHA)
        ranks = ()
        for i in tl.static_range(CHUNK):
            ranks = append(ranks, rank(x[HALO + i], s[i], BETA))
        row = append(row, together(ranks, CHUNK))
    maxima = ()
    for column in tl.static_range(COLUMNS):
        maxima = append(maxima, largest(row, column * STRIDE_W, KERNEL_W))
    return maxima


@triton.jit
def walked(
    x_ptr, y_ptr, x_pitch, y_pitch, height, width, height_out, width_out, rows, items,
    CHANNELS: tl.constexpr, PART: tl.constexpr, HALO: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr, OVERLAP: tl.constexpr,
    ACCUMULATOR: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Compute ``rows`` rows of BLOCK items; an item is a chunk of COLUMNS outputs of an image."""
    strips = tl.cdiv(height_out, rows)
    first = tl.program_id(0) % strips * rows
    item = tl.program_id(0) // strips * BLOCK + tl.arange(0, BLOCK)
    is_inside = item < items
    chunk = item % (CHANNELS // CHUNK)
    steps = tl.cdiv(width_out, COLUMNS)
    w = item // (CHANNELS // CHUNK) % steps * COLUMNS
    image = (item // (CHANNELS // CHUNK) // steps).to(tl.int64)
    left = w * STRIDE_W - PADDING_LEFT
    place = chunk % (PART // CHUNK)
    x_pitch = x_pitch // CHUNK * CHUNK
    y_pitch = y_pitch // CHUNK * CHUNK
    x_at = x_ptr + image * height * width * x_pitch + chunk * CHUNK
    y_at = y_ptr + (image * height_out * width_out + w) * y_pitch + chunk * CHUNK

    nothing = tl.full((BLOCK, CHUNK), -float("inf"), ACCUMULATOR)
    carried = ()
    for _column in tl.static_range(COLUMNS):
        carried = append(carried, nothing)
    # The step before the first has no output: it reads the rows that the first step shares.
    for h in range(first - (1 if OVERLAP > 0 else 0), min(first + rows, height_out)):
        top = h * STRIDE_H - PADDING_TOP
        y = carried
        for r in range(OVERLAP if h >= first else STRIDE_H, KERNEL_H):
            maxima = maxima_of_row(
                x_at, top + r, left, height, width, x_pitch, is_inside,
                place, PART // CHUNK, HALO, CHUNK, N, K, ALPHA, BETA, ACCUMULATOR,
                KERNEL_W, STRIDE_W, COLUMNS,
            )  # fmt: skip
            y = larger_of_each(y, maxima, COLUMNS)
            if OVERLAP > 0:
                if r == STRIDE_H:
                    carried = maxima
                elif r > STRIDE_H:
                    carried = larger_of_each(carried, maxima, COLUMNS)
        if h >= first:
            has_rows = (top + KERNEL_H > 0) & (top < height)
            for column in tl.static_range(COLUMNS):
                v = left + column * STRIDE_W
                has_pixels = has_rows & (v + KERNEL_W > 0) & (v < width)
                out = tl.where(has_pixels[:, None], value(y[column], BETA), -float("inf"))
                out_at = y_at + (h * width_out + column).to(tl.int64) * y_pitch
                tl.store(
                    out_at[:, None] + tl.arange(0, CHUNK)[None, :],
                    out.to(y_ptr.dtype.element_ty),
                    mask=(is_inside & (w + column < width_out))[:, None],
                )


@triton.jit
def pooled(
    x_ptr, y_ptr, x_pitch, y_pitch, height, width, height_out, width_out, pixels, channels,
    part, reach,
    K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    ACCUMULATOR: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Compute ROWS output pixels x COLUMNS channels, for any shape."""
    pixel = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    c = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    is_inside = (pixel < pixels) & (c < channels)
    left = pixel % width_out * STRIDE_W - PADDING_LEFT
    top = pixel // width_out % height_out * STRIDE_H - PADDING_TOP
    image = (pixel // width_out // height_out).to(tl.int64)
    y = tl.full((ROWS, COLUMNS), -float("inf"), ACCUMULATOR)
    for r in range(KERNEL_H):
        for s in range(KERNEL_W):
            h = top + r
            v = left + s
            is_there = is_inside & (h >= 0) & (h < height) & (v >= 0) & (v < width)
            x_at = x_ptr + ((image * height + h) * width + v) * x_pitch + c
            scale = shifted_scale(x_at, is_there, c % part, part, reach, K, ALPHA, ACCUMULATOR)
            power, _ = powers(scale, BETA)
            b = tl.load(x_at, mask=is_there, other=0.0).to(ACCUMULATOR) * power
            y = larger(y, tl.where(is_there, b, -float("inf")))
    y_at = y_ptr + pixel.to(tl.int64) * y_pitch + c
    tl.store(y_at, y.to(y_ptr.dtype.element_ty), mask=is_inside)


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor,
    y: Tensor,
    n: int,
    k: float,
    alpha: float,
    beta: float,
    groups: int,
    windows: Windows,
) -> list[Launch]:
    """Return the launch of y [N, H', W', C] from x [N, H, W, C]; both may be slices of channels."""
    if y.numel() == 0:
        return []
    batch, height_out, width_out, channels = y.shape
    part, reach = window(channels, n, groups)
    arguments = constants(k, alpha, beta, x.dtype) | windows.window_constants()
    arguments |= {
        "x_ptr": x,
        "y_ptr": y,
        "x_pitch": pitch("x", x),
        "y_pitch": pitch("y", y),
        "height": x.shape[1],
        "width": x.shape[2],
        "height_out": height_out,
        "width_out": width_out,
    }
    if is_walked(windows, reach, part, x, y):
        items = batch * blocks(width_out, COLUMNS) * (channels // chunk_of(x))
        rows = rows_of(height_out, items)
        arguments |= chunk_constants(x, part, reach)
        arguments |= {
            "rows": rows,
            "items": items,
            "OVERLAP": overlap_of(windows),
            "COLUMNS": COLUMNS,
        }
        return [Launch(walked, (blocks(items, BLOCK) * blocks(height_out, rows),), arguments)]
    pixels = batch * height_out * width_out
    columns = min(power_of_two(channels), 128)
    arguments |= {
        "pixels": pixels,
        "channels": channels,
        "part": part,
        "reach": reach,
        "ROWS": AREA // columns,
        "COLUMNS": columns,
    }
    return [Launch(pooled, (blocks(pixels, AREA // columns), blocks(channels, columns)), arguments)]


# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the launches of layers of AlexNet and GoogLeNet at batch 32, on the ``meta`` device."""
    for size, channels, k, alpha, groups, overhang in (
        (55, 96, 2.0, 1e-4, 2, 0),
        (27, 256, 2.0, 1e-4, 2, 0),
        (56, 192, 1.0, 2e-5, 1, 1),
    ):
        x = torch.empty(32, size, size, channels, dtype=dtype, device="meta")
        windows = windows_over(x.shape, (3, 3), (2, 2), (0, overhang, 0, overhang))
        y = x.new_empty(windows.size_out)
        (launch,) = launches(x, y, 5, k, alpha, 0.75, groups, windows)
        yield f"lrn_maxpool {size}x{size}x{channels}, {groups} groups", launch

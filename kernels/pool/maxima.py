"""Max-pooling over overlapping windows, alone and after a ReLU.

    y[n, i, j, c] = max over r, s of x[n, i stride + r - top, j stride + s - left, c]

over the taps on the map (Krizhevsky et al. 2012, section 3.4); padding is minus infinity.  After a
ReLU, x is replaced by max(x, 0).  A window with a NaN gives NaN.

For training, each output has an index of one byte: the place r * kernel width + s of its maximum;
the first of equal maxima, and the last of NaNs, as in PyTorch.  After a ReLU the index is 255,
which is no place, if the maximum is not above 0; so the gradient of the ReLU needs no extra work.

3 x 3 / 2 in 16 bits moves, per input element, 2 bytes of x, 1/2 of y and 1/4 of index: 2.75 with
the index, 2.5 without.  For small windows, a thread computes ``ROWS`` output rows and computes the
maximum of each input row once, for all windows that overlap in it.  With 4 rows this takes 6.5
comparisons per output instead of 8, or 1.6 per input element.  With the index, a comparison is two
maxima, a comparison and a selection.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import relu as rectified
from netspec.kernels.launch import Launch, blocks
from netspec.kernels.layout import pitch
from netspec.kernels.pool.geometry import (
    choose,
    constants,
    example,
    inside,
    is_within,
    place,
    sizes,
)
from netspec.kernels.tuples import append
from netspec.kernels.windows import Windows

# --------------------------------------------------------------------------------- configurations


def rows_of(windows: Windows) -> int:
    """Return the output rows per thread: 1, 2 or 4, whichever reads the fewest input rows."""
    kernel, stride = windows.kernel[0], windows.stride[0]
    if kernel <= stride:
        return 1
    return min(
        (1, 2, 4),
        key=lambda rows: blocks(windows.height_out, rows) * ((rows - 1) * stride + kernel),
    )


def shares_rows(windows: Windows) -> bool:
    """Return True if the window is small enough to unroll the forward pass."""
    return windows.kernel[0] * windows.kernel[1] <= 25


# ---------------------------------------------------------------------------------------- kernels

ALL = tl.constexpr(tl.PropagateNan.ALL)


@triton.jit
def larger(best, at, x, x_at, INDEX: tl.constexpr):
    """Return the larger of two maxima and its place: the first of equal values, the last of NaNs.

    ``not x <= bound`` is true if x is larger or NaN.  If the best is NaN, the bound is inf, so that
    the condition is true only for another NaN.  This needs one comparison less than a test for NaN.
    """
    if INDEX:
        bound = tl.minimum(best, tl.full(best.shape, float("inf"), best.dtype))
        at = tl.where(x <= bound, at, x_at)
    return tl.maximum(best, x, propagate_nan=ALL), at


@triton.jit
def keep(
    y_ptr, index_ptr, y_pixel, y_pitch, channels, c, is_real, best, at, RELU: tl.constexpr
):  # fmt: skip
    """Write maxima [PIXELS, CHANNELS] and, if there is an index, their places."""
    pixel = y_pixel.to(tl.int64)[:, None]
    if index_ptr is not None:
        if RELU:
            at = tl.where(best <= 0, 255, at)
        tl.store(index_ptr + pixel * channels + c[None, :], at.to(tl.uint8), is_real)
    if RELU:
        best = rectified(best)
    tl.store(y_ptr + pixel * y_pitch + c[None, :], best.to(y_ptr.dtype.element_ty), is_real)


@triton.jit
def small_maxima(
    x_ptr, y_ptr, index_ptr, x_pitch, y_pitch,
    batch, height, width, height_out, width_out, channels, bands,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr,
    RELU: tl.constexpr, ROWS: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute ROWS output rows per thread; grid: (images x bands of rows x columns) x channels."""
    INDEX: tl.constexpr = index_ptr is not None
    PADDED: tl.constexpr = PADDING_TOP + PADDING_LEFT > 0
    image, band, column, c = place(bands, width_out, channels, PIXELS, CHANNELS)
    top = band * (ROWS * STRIDE_H) - PADDING_TOP
    left = column * STRIDE_W - PADDING_LEFT
    corner = (image.to(tl.int64) * height + top) * width + left
    start = x_ptr + (corner * x_pitch)[:, None] + c[None, :]
    row_step = tl.cast(width, tl.int64) * x_pitch
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    # First the maxima of each input row, then from these the maxima of each output row.  There are
    # few rows, so all loops are unrolled.
    minus = tl.full((PIXELS, CHANNELS), float("-inf"), x_ptr.dtype.element_ty)
    maxima = ()
    places = ()
    for o in tl.static_range(ROWS):
        for r in tl.static_range(
            (o - 1) * STRIDE_H + KERNEL_H if o > 0 else 0, o * STRIDE_H + KERNEL_H
        ):
            is_row = is_within(top + r, height, r < PADDING_TOP, r >= INSIDE_H)
            best = minus
            at = tl.zeros((PIXELS, CHANNELS), tl.int32)
            for s in tl.static_range(KERNEL_W):
                is_tap = is_row & is_within(left + s, width, s < PADDING_LEFT, s >= INSIDE_W)
                x = tl.load(
                    start + (r * row_step + s * x_pitch),
                    is_tap[:, None] & is_real,
                    other=float("-inf"),
                )
                if s == 0:
                    best = x
                else:
                    best, at = larger(best, at, x, s, INDEX)
            maxima = append(maxima, best)
            places = append(places, at)
        if PADDED:  # windows with only minus infinity: the place is the first tap on the map
            first = tl.maximum(-top - o * STRIDE_H, 0) * KERNEL_W + tl.maximum(-left, 0)
            best, at = larger(
                minus, first[:, None], maxima[o * STRIDE_H], places[o * STRIDE_H], INDEX
            )
        else:
            best, at = maxima[o * STRIDE_H], places[o * STRIDE_H]
        for r in tl.static_range(1, KERNEL_H):
            row_at = places[o * STRIDE_H + r] + r * KERNEL_W
            best, at = larger(best, at, maxima[o * STRIDE_H + r], row_at, INDEX)
        row_out = band * ROWS + o
        keep(
            y_ptr, index_ptr, (image * height_out + row_out) * width_out + column, y_pitch,
            channels, c, is_real & (row_out < height_out)[:, None], best, at, RELU,
        )  # fmt: skip


@triton.jit
def large_maxima(
    x_ptr, y_ptr, index_ptr, x_pitch, y_pitch,
    batch, height, width, height_out, width_out, channels,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr,
    RELU: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute y for windows of any size; grid: output pixels x channels."""
    INDEX: tl.constexpr = index_ptr is not None
    image, row, column, c = place(height_out, width_out, channels, PIXELS, CHANNELS)
    top = row * STRIDE_H - PADDING_TOP
    left = column * STRIDE_W - PADDING_LEFT
    corner = (image.to(tl.int64) * height + top) * width + left
    start = x_ptr + (corner * x_pitch)[:, None] + c[None, :]
    row_step = tl.cast(width, tl.int64) * x_pitch
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    best = tl.full((PIXELS, CHANNELS), float("-inf"), x_ptr.dtype.element_ty)
    first = tl.maximum(-top, 0) * KERNEL_W + tl.maximum(-left, 0)
    at = tl.zeros((PIXELS, CHANNELS), tl.int32) + first[:, None]
    for r in range(KERNEL_H):
        is_row = is_within(top + r, height, PADDING_TOP > 0, INSIDE_H < KERNEL_H)
        for s in range(KERNEL_W):
            is_tap = is_row & is_within(left + s, width, PADDING_LEFT > 0, INSIDE_W < KERNEL_W)
            x = tl.load(
                start + (r * row_step + s * x_pitch), is_tap[:, None] & is_real, other=float("-inf")
            )
            best_now, at = larger(best, at, x, r * KERNEL_W + s, INDEX)
            best = best_now.to(x_ptr.dtype.element_ty)
    keep(
        y_ptr, index_ptr, (image * height_out + row) * width_out + column, y_pitch, channels, c,
        is_real, best, at, RELU,
    )  # fmt: skip


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor, y: Tensor, index: Tensor | None, windows: Windows, *, relu: bool
) -> list[Launch]:
    """Return the launch of y [N, H', W', C] from x [N, H, W, C].

    If ``index`` is not None, the places of the maxima are written to it, uint8 [N, H', W', C].
    """
    tile = choose(windows.channels, x.dtype)
    arguments = (
        sizes(windows)
        | constants(windows)
        | tile.constants()
        | {
            "x_ptr": x,
            "y_ptr": y,
            "index_ptr": index,
            "x_pitch": pitch("x", x),
            "y_pitch": pitch("y", y),
            "RELU": relu,
        }
    )
    if not shares_rows(windows):
        programs = tile.programs(windows.pixels_out, windows.channels)
        return [Launch(large_maxima, (programs,), arguments, tile.warps)]
    rows = rows_of(windows)
    bands = blocks(windows.height_out, rows)
    # INSIDE_H is counted from the start of the last band, which may extend beyond the last row.
    arguments |= {"bands": bands, "ROWS": rows, "INSIDE_H": inside(windows, 0, (bands - 1) * rows)}
    pixels = windows.batch * bands * windows.width_out
    programs = tile.programs(pixels, windows.channels)
    return [Launch(small_maxima, (programs,), arguments, tile.warps)]


# ---------------------------------------------------------------------------------------- shipped

SHIPPED = (
    ("maxpool with index 55x55x96 3x3/2", (32, 55, 55, 96), [3, 3], [2, 2], [0, 0, 0, 0]),
    ("maxpool with index 28x28x192 3x3/1 padded", (32, 28, 28, 192), [3, 3], [1, 1], [1, 1, 1, 1]),
    ("maxpool relu 13x13x512 13x13/1 padded", (32, 13, 13, 512), [13, 13], [1, 1], [6, 6, 6, 6]),
)
"""Layers of AlexNet and of GoogLeNet's inception modules, for training; and a large window, as in
spatial pyramid pooling, for inference after a ReLU."""


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield launches of the layers that the configurations are made for, on the ``meta`` device."""
    for name, size, kernel, stride, padding in SHIPPED:
        x, y, windows = example(size, kernel, stride, padding, dtype)
        index = torch.empty_like(y, dtype=torch.uint8) if "with index" in name else None
        (launch,) = launches(x, y, index, windows, relu="relu" in name)
        yield name, launch

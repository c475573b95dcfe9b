"""Average pooling over windows.

    y[n, i, j, c] = (sum over r, s of x[n, i stride + r - top, j stride + s - left, c])
                    / count(i, j)

Taps outside the map are zeros.  ``count`` is the number of positions of the window that are on the
map or, with ``count_pad``, on the map and its padding.  The overhang, which sizes that round up
have at the bottom and right, is never counted.

3 x 3 / 2 in 16 bits moves 2.5 bytes per input element, for 2.25 additions.

The kernel also supports a coefficient and a bias for each channel, for trained subsampling
(``subsample.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.launch import Launch
from netspec.kernels.layout import pitch
from netspec.kernels.pool.geometry import choose, constants, example, is_within, place, sizes
from netspec.kernels.windows import Windows

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def window_sums(
    x_ptr, image, top, left, c, is_real, x_pitch, height, width,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr, ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Return the sums of the windows that begin at (top, left): [PIXELS, CHANNELS]."""
    corner = (image.to(tl.int64) * height + top) * width + left
    start = x_ptr + (corner * x_pitch)[:, None] + c[None, :]
    row_step = tl.cast(width, tl.int64) * x_pitch
    total = tl.zeros(is_real.shape, ACCUMULATOR)
    for r in range(KERNEL_H):
        is_row = is_within(top + r, height, PADDING_TOP > 0, INSIDE_H < KERNEL_H)
        for s in range(KERNEL_W):
            is_tap = is_row & is_within(left + s, width, PADDING_LEFT > 0, INSIDE_W < KERNEL_W)
            x = tl.load(start + (r * row_step + s * x_pitch), is_tap[:, None] & is_real, other=0.0)
            total += x.to(ACCUMULATOR)
    return total


@triton.jit
def shares(
    top, left, end_h, end_w,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr, FIRST_H: tl.constexpr, FIRST_W: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Return 1 / count of the windows that begin at (top, left); positions FIRST..end count."""
    rows = tl.minimum(top + KERNEL_H, end_h) - tl.maximum(top, FIRST_H)
    columns = tl.minimum(left + KERNEL_W, end_w) - tl.maximum(left, FIRST_W)
    # The last tile may contain windows that do not exist, whose count would be 0.
    return 1.0 / tl.maximum(rows * columns, 1).to(ACCUMULATOR)


@triton.jit
def averages(
    x_ptr, coefficient_ptr, bias_ptr, y_ptr, x_pitch, y_pitch, end_h, end_w,
    batch, height, width, height_out, width_out, channels,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr, FIRST_H: tl.constexpr, FIRST_W: tl.constexpr,
    SHARE: tl.constexpr, ACCUMULATOR: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute y = coefficient x share x sum + bias; grid: output pixels x channels.

    SHARE is the share of all windows, or None if their shares differ.
    """
    image, row, column, c = place(height_out, width_out, channels, PIXELS, CHANNELS)
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    top = row * STRIDE_H - PADDING_TOP
    left = column * STRIDE_W - PADDING_LEFT
    y = window_sums(
        x_ptr, image, top, left, c, is_real, x_pitch, height, width, KERNEL_H, KERNEL_W,
        PADDING_TOP, PADDING_LEFT, INSIDE_H, INSIDE_W, ACCUMULATOR,
    )  # fmt: skip
    if SHARE is None:
        share = shares(top, left, end_h, end_w, KERNEL_H, KERNEL_W, FIRST_H, FIRST_W, ACCUMULATOR)
        y *= share[:, None]
    else:
        y *= SHARE
    if coefficient_ptr is not None:
        y *= tl.load(coefficient_ptr + c, c < channels, other=0.0).to(ACCUMULATOR)[None, :]
        y += tl.load(bias_ptr + c, c < channels, other=0.0).to(ACCUMULATOR)[None, :]
    pixel = (image.to(tl.int64) * height_out + row) * width_out + column
    y_at = y_ptr + (pixel * y_pitch)[:, None] + c[None, :]
    tl.store(y_at, y.to(y_ptr.dtype.element_ty), is_real)


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor,
    y: Tensor,
    windows: Windows,
    *,
    share: float | None,
    counts: dict[str, int],
    coefficient: Tensor | None = None,
    bias: Tensor | None = None,
) -> list[Launch]:
    """Return the launch of y [N, H', W', C] = coefficient [C] x share x sum of x + bias [C].

    x is [N, H, W, C].  ``counts`` are the positions that means count, used if ``share`` is None.
    """
    tile = choose(windows.channels, x.dtype)
    arguments = arguments_of(windows, share, counts, x.dtype) | {
        "x_ptr": x,
        "coefficient_ptr": coefficient,
        "bias_ptr": bias,
        "y_ptr": y,
        "x_pitch": pitch("x", x),
        "y_pitch": pitch("y", y),
    }
    programs = tile.programs(windows.pixels_out, windows.channels)
    return [Launch(averages, (programs,), arguments | tile.constants(), tile.warps)]


def counting(
    windows: Windows, padding: list[int], *, count_pad: bool
) -> tuple[float | None, dict[str, int]]:
    """Return the share of all windows, or None if they differ, and the positions that count.

    These are the map or, with ``count_pad``, the map and its ``padding``.  The padding in
    ``windows`` includes the overhang.
    """
    top, bottom, left, right = padding if count_pad else (0, 0, 0, 0)
    counts = {
        "FIRST_H": -top,
        "FIRST_W": -left,
        "end_h": windows.height + bottom,
        "end_w": windows.width + right,
    }
    last_h = (windows.height_out - 1) * windows.stride[0] + windows.kernel[0]
    last_w = (windows.width_out - 1) * windows.stride[1] + windows.kernel[1]
    is_alike = (
        (top, left) == (windows.padding[0], windows.padding[2])
        and last_h - windows.padding[0] <= counts["end_h"]
        and last_w - windows.padding[2] <= counts["end_w"]
    )
    return (1.0 / prod(windows.kernel) if is_alike else None), counts


def arguments_of(
    windows: Windows, share: float | None, counts: dict[str, int], dtype: torch.dtype
) -> dict[str, object]:
    """Return the arguments that the kernels here and in ``average_gradients.py`` share."""
    return (
        sizes(windows)
        | constants(windows)
        | counts
        | {"SHARE": share, "ACCUMULATOR": accumulator(dtype)}
    )


# ---------------------------------------------------------------------------------------- shipped

LAYER = (32, 35, 35, 288), [3, 3], [1, 1], [1, 1, 1, 1]
"""A module of Inception v3, whose windows have different counts; ``subsample.py`` ships windows
with equal counts."""


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the launch of the layer, on the ``meta`` device."""
    x, y, windows = example(*LAYER, dtype)
    share, counts = counting(windows, [1, 1, 1, 1], count_pad=False)
    (launch,) = launches(x, y, windows, share=share, counts=counts)
    yield "avgpool 35x35x288 3x3/1 padded", launch

"""The gradient of average pooling over windows.

    dx[n, h, w, c] = sum over windows (i, j) that cover (h, w) of dy[n, i, j, c] / count(i, j)

with ``count`` as in ``averages.py``.  Each element is summed by one thread in a fixed order.  The
forward pass saves nothing.  3 x 3 / 2 in 16 bits moves 2.5 bytes per input element, for 4
additions, since each element reads (3 / 2 rounded up)^2 windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.launch import Launch
from netspec.kernels.layout import pitch
from netspec.kernels.pool.averages import LAYER, arguments_of, counting, shares
from netspec.kernels.pool.geometry import choose, example, place
from netspec.kernels.windows import Windows

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def average_gradients(
    dy_ptr, coefficient_ptr, dx_ptr, dy_pitch, end_h, end_w,
    batch, height, width, height_out, width_out, channels,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr, FIRST_H: tl.constexpr, FIRST_W: tl.constexpr,
    SHARE: tl.constexpr, ACCUMULATOR: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of ``averages`` with respect to x; grid: input pixels x channels."""
    image, h, w, c = place(height, width, channels, PIXELS, CHANNELS)
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    # The last window that covers the pixel, and the place of the pixel in it.
    last_i = (h + PADDING_TOP) // STRIDE_H
    last_j = (w + PADDING_LEFT) // STRIDE_W
    r = (h + PADDING_TOP) % STRIDE_H
    s = (w + PADDING_LEFT) % STRIDE_W
    window = (image.to(tl.int64) * height_out + last_i) * width_out + last_j
    last = dy_ptr + (window * dy_pitch)[:, None] + c[None, :]
    row_step = tl.cast(width_out, tl.int64) * dy_pitch
    dx = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
    for a in range((KERNEL_H - 1) // STRIDE_H + 1):
        i = last_i - a
        is_row = (i >= 0) & (i < height_out) & (r + a * STRIDE_H < KERNEL_H)
        for b in range((KERNEL_W - 1) // STRIDE_W + 1):
            j = last_j - b
            is_window = is_row & (j >= 0) & (j < width_out) & (s + b * STRIDE_W < KERNEL_W)
            step = a * row_step + b * dy_pitch
            dy = tl.load(last - step, is_window[:, None] & is_real, other=0.0).to(ACCUMULATOR)
            if SHARE is None:
                top = i * STRIDE_H - PADDING_TOP
                left = j * STRIDE_W - PADDING_LEFT
                share = shares(
                    top, left, end_h, end_w, KERNEL_H, KERNEL_W, FIRST_H, FIRST_W, ACCUMULATOR
                )
                dy *= share[:, None]
            dx += dy
    if SHARE is not None:
        dx *= SHARE
    if coefficient_ptr is not None:
        dx *= tl.load(coefficient_ptr + c, c < channels, other=0.0).to(ACCUMULATOR)[None, :]
    pixel = (image.to(tl.int64) * height + h) * width + w
    dx_at = dx_ptr + (pixel * channels)[:, None] + c[None, :]
    tl.store(dx_at, dx.to(dx_ptr.dtype.element_ty), is_real)


# --------------------------------------------------------------------------------------- launches


def launches(
    dy: Tensor,
    dx: Tensor,
    windows: Windows,
    *,
    share: float | None,
    counts: dict[str, int],
    coefficient: Tensor | None = None,
) -> list[Launch]:
    """Return the launch of dx [N, H, W, C], contiguous, from dy [N, H', W', C].

    It is the gradient of the launches of ``averages.py`` with respect to x.
    """
    tile = choose(windows.channels, dy.dtype)
    arguments = arguments_of(windows, share, counts, dy.dtype) | {
        "dy_ptr": dy,
        "coefficient_ptr": coefficient,
        "dx_ptr": dx,
        "dy_pitch": pitch("dy", dy),
    }
    pixels = windows.pixels
    programs = tile.programs(pixels, windows.channels)
    return [Launch(average_gradients, (programs,), arguments | tile.constants(), tile.warps)]


# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the launch of the layer of ``averages.py``, on the ``meta`` device."""
    dx, dy, windows = example(*LAYER, dtype)
    share, counts = counting(windows, [1, 1, 1, 1], count_pad=False)
    (launch,) = launches(dy, dx, windows, share=share, counts=counts)
    yield "avgpool backward 35x35x288 3x3/1 padded", launch

"""The gradient of max-pooling, alone and after a ReLU.

It uses the places of the maxima that ``maxima.py`` stored:

    dx[n, h, w, c] = sum over windows (i, j) that cover (h, w) of dy[n, i, j, c]
                     where index[n, i, j, c] is the place of (h, w) in (i, j)

Each element is summed by one thread in a fixed order, without atomics, so that the result has the
same bits each time.

3 x 3 / 2 in 16 bits moves, per input element, 2 bytes of dx, 1/2 of dy and 1/4 of index: 2.75.  For
small windows, a thread computes a patch of dx of two strides x one stride (two x two if the stride
is 1), so that loads of overlapping windows are shared.  The place of each pixel in each window is
known at compile time: 6 windows are read and 18 places compared for 8 elements.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.launch import Launch, blocks
from netspec.kernels.layout import pitch
from netspec.kernels.pool.geometry import choose, constants, example, is_within, place, sizes
from netspec.kernels.tuples import append
from netspec.kernels.windows import Windows

# --------------------------------------------------------------------------------- configurations


def patch_of(windows: Windows) -> tuple[int, int]:
    """Return the size of a patch in strides, (down, right).

    Larger patches share more work on positions but need more registers: two strides in both
    directions are worth it only if every window is read nine times.
    """
    return 2, 2 if windows.stride[1] == 1 and windows.kernel[1] > 1 else 1


def has_patches(windows: Windows) -> bool:
    """Return True if the window and its stride are small enough to unroll the gradient."""
    pixels, covering = 1, 1
    for strides, kernel, stride in zip(
        patch_of(windows), windows.kernel, windows.stride, strict=True
    ):
        pixels *= strides * stride
        covering *= strides + (kernel - 1) // stride
    return pixels <= 18 and covering <= 16


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def patch_gradients(
    dy_ptr, index_ptr, dx_ptr, dy_pitch,
    batch, height, width, height_out, width_out, channels, patches_h, patches_w,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr, ACCUMULATOR: tl.constexpr,
    DOWN: tl.constexpr, RIGHT: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute patches of DOWN x RIGHT strides of dx, from -padding on; grid: patches x channels.

    A patch of DOWN strides is covered by DOWN + BACK_H windows, and each pixel of the patch has a
    known place in each of them.
    """
    BACK_H: tl.constexpr = (KERNEL_H - 1) // STRIDE_H
    BACK_W: tl.constexpr = (KERNEL_W - 1) // STRIDE_W
    ACROSS: tl.constexpr = RIGHT + BACK_W
    image, i, j, c = place(patches_h, patches_w, channels, PIXELS, CHANNELS)
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    i = i * DOWN - BACK_H
    j = j * RIGHT - BACK_W
    corner = (image.to(tl.int64) * height_out + i) * width_out + j
    dy_start = dy_ptr + (corner * dy_pitch)[:, None] + c[None, :]
    index_start = index_ptr + (corner * channels)[:, None] + c[None, :]
    gradients = ()
    places = ()
    for a in tl.static_range(DOWN + BACK_H):
        is_row = is_within(i + a, height_out, a < BACK_H, True)
        for b in tl.static_range(ACROSS):
            is_window = is_row & is_within(j + b, width_out, b < BACK_W, True)
            mask = is_window[:, None] & is_real
            step = tl.cast(width_out, tl.int64) * a + b
            dy = tl.load(dy_start + step * dy_pitch, mask, other=0.0)
            gradients = append(gradients, dy.to(ACCUMULATOR))
            places = append(places, tl.load(index_start + step * channels, mask, other=255))
    top = (i + BACK_H) * STRIDE_H - PADDING_TOP
    left = (j + BACK_W) * STRIDE_W - PADDING_LEFT
    pixel = (image.to(tl.int64) * height + top) * width + left
    dx_start = dx_ptr + (pixel * channels)[:, None] + c[None, :]
    for u in tl.static_range(DOWN * STRIDE_H):
        is_row = is_within(top + u, height, u < PADDING_TOP, True)
        for v in tl.static_range(RIGHT * STRIDE_W):
            dx = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
            # only windows that begin early enough and are large enough to contain the pixel
            for a in tl.static_range(u // STRIDE_H, u // STRIDE_H + BACK_H + 1):
                for b in tl.static_range(v // STRIDE_W, v // STRIDE_W + BACK_W + 1):
                    if (u + (BACK_H - a) * STRIDE_H < KERNEL_H) & (
                        v + (BACK_W - b) * STRIDE_W < KERNEL_W
                    ):
                        at = (u + (BACK_H - a) * STRIDE_H) * KERNEL_W + v + (BACK_W - b) * STRIDE_W
                        is_place = places[a * ACROSS + b] == at
                        dx = tl.where(is_place, dx + gradients[a * ACROSS + b], dx)
            is_pixel = is_row & is_within(left + v, width, v < PADDING_LEFT, True)
            step = tl.cast(width, tl.int64) * u + v
            tl.store(
                dx_start + step * channels,
                dx.to(dx_ptr.dtype.element_ty),
                is_pixel[:, None] & is_real,
            )


@triton.jit
def large_gradients(
    dy_ptr, index_ptr, dx_ptr, dy_pitch,
    batch, height, width, height_out, width_out, channels,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr, ACCUMULATOR: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute dx for windows of any size; grid: input pixels x channels."""
    image, h, w, c = place(height, width, channels, PIXELS, CHANNELS)
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    dx = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
    for a in range((KERNEL_H - 1) // STRIDE_H + 1):
        i = (h + PADDING_TOP) // STRIDE_H - a
        r = h + PADDING_TOP - i * STRIDE_H
        is_row = (i >= 0) & (i < height_out) & (r < KERNEL_H)
        for b in range((KERNEL_W - 1) // STRIDE_W + 1):
            j = (w + PADDING_LEFT) // STRIDE_W - b
            s = w + PADDING_LEFT - j * STRIDE_W
            is_window = is_row & (j >= 0) & (j < width_out) & (s < KERNEL_W)
            mask = is_window[:, None] & is_real
            window = ((image.to(tl.int64) * height_out + i) * width_out + j)[:, None]
            dy = tl.load(dy_ptr + window * dy_pitch + c[None, :], mask, other=0.0)
            at = tl.load(index_ptr + window * channels + c[None, :], mask, other=255)
            is_place = at == (r * KERNEL_W + s)[:, None]
            dx += tl.where(is_place, dy.to(ACCUMULATOR), 0.0)
    pixel = (image.to(tl.int64) * height + h) * width + w
    dx_at = dx_ptr + (pixel * channels)[:, None] + c[None, :]
    tl.store(dx_at, dx.to(dx_ptr.dtype.element_ty), is_real)


# --------------------------------------------------------------------------------------- launches


def launches(dy: Tensor, index: Tensor, dx: Tensor, windows: Windows) -> list[Launch]:
    """Return the launch of dx [N, H, W, C], contiguous, from dy and index [N, H', W', C]."""
    tile = choose(windows.channels, dy.dtype)
    arguments = (
        sizes(windows)
        | constants(windows)
        | tile.constants()
        | {
            "dy_ptr": dy,
            "index_ptr": index,
            "dx_ptr": dx,
            "dy_pitch": pitch("dy", dy),
            "ACCUMULATOR": accumulator(dy.dtype),
        }
    )
    if not has_patches(windows):
        pixels = windows.pixels
        programs = tile.programs(pixels, windows.channels)
        return [Launch(large_gradients, (programs,), arguments, tile.warps)]
    down, right = patch_of(windows)
    patches_h = blocks(windows.height + windows.padding[0], down * windows.stride[0])
    patches_w = blocks(windows.width + windows.padding[2], right * windows.stride[1])
    arguments |= {"patches_h": patches_h, "patches_w": patches_w, "DOWN": down, "RIGHT": right}
    programs = tile.programs(windows.batch * patches_h * patches_w, windows.channels)
    return [Launch(patch_gradients, (programs,), arguments, tile.warps)]


# ---------------------------------------------------------------------------------------- shipped

SHIPPED = (
    ("55x55x96 3x3/2", (32, 55, 55, 96), [3, 3], [2, 2], [0, 0, 0, 0]),
    ("28x28x192 3x3/1 padded", (32, 28, 28, 192), [3, 3], [1, 1], [1, 1, 1, 1]),
    ("13x13x512 13x13/1 padded", (32, 13, 13, 512), [13, 13], [1, 1], [6, 6, 6, 6]),
)
"""Layers of AlexNet and of GoogLeNet's inception modules; and a large window, as in spatial pyramid
pooling."""


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield launches of the layers that the configurations are made for, on the ``meta`` device."""
    for name, size, kernel, stride, padding in SHIPPED:
        dx, dy, windows = example(size, kernel, stride, padding, dtype)
        (launch,) = launches(dy, torch.empty_like(dy, dtype=torch.uint8), dx, windows)
        yield f"maxpool backward {name}", launch

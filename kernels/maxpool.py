"""Max-pooling over overlapping windows, alone and behind a ReLU, forward and backward.

    y[n, i, j, c] = max over r, s of x[n, i stride + r - top, j stride + s - left, c]

over the taps that lie on the map (Krizhevsky et al. 2012, section 3.4); padding is minus infinity.
``relu_maxpool`` is the same of max(x, 0).  A window with a NaN gives NaN.

For training each output keeps one byte, the place r * kernel width + s of its maximum: the first
of equal ones, the last of NaNs, as in PyTorch.  Behind a ReLU it is 255, no place, where the
maximum is not above 0; so the backward of the ReLU costs nothing.  The gradient is gathered:

    dx[n, h, w, c] = sum over windows (i, j) that cover (h, w) of dy[n, i, j, c]
                     where index[n, i, j, c] is the place of (h, w) in (i, j)

Every element is summed by one thread in one order: no atomics, the same bits each time.

3 x 3 / 2 in 16 bits moves, for each input element, 2 bytes of x, 1/2 of y and 1/4 of index: 2.75
forward with the index, 2.5 without, 2.75 backward.  Small windows share what they overlap in.
Forward a thread goes down ``ROWS`` output rows and takes the maximum of each input row once: with 4
rows 6.5 comparisons an output, not 8, which are 1.6 an input element; with the index each is two
maxima, a comparison and a choice.  Backward it fills a patch of two strides x one, or two where
the stride is 1, and which place each pixel has in each window is known when the kernel is compiled:
6 windows are read and 18 places compared for 8 elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.arithmetic import relu as rectified
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import Launch, blocks, run
from netspec.kernels.layout import check_device, check_kind, pitch
from netspec.kernels.pool_geometry import (
    as_map,
    check_size,
    checked,
    choose,
    inside,
    is_within,
    place,
    sizes,
    steps,
    windows,
)

TAPS = 255
"""Taps whose places fit into a byte; behind a ReLU one less, since 255 means none."""

# --------------------------------------------------------------------------------- configurations


def rows_of(geometry: Geometry) -> int:
    """Output rows that a thread goes down: of 1, 2 and 4 the one that reads fewest input rows."""
    kernel, stride = geometry.kernel[0], geometry.stride[0]
    if kernel <= stride:
        return 1
    return min(
        (1, 2, 4),
        key=lambda rows: blocks(geometry.height_out, rows) * ((rows - 1) * stride + kernel),
    )


def patch_of(geometry: Geometry) -> tuple[int, int]:
    """Strides of a patch, down and right: more pixels share the arithmetic of places, but two
    strides each way are worth their registers only where every window is read nine times."""
    return 2, 2 if geometry.stride[1] == 1 and geometry.kernel[1] > 1 else 1


def shares_rows(geometry: Geometry) -> bool:
    """Whether the window is small enough to be unrolled forward."""
    return geometry.kernel[0] * geometry.kernel[1] <= 25


def has_patches(geometry: Geometry) -> bool:
    """Whether the window and its stride are small enough to be unrolled backward."""
    pixels, covering = 1, 1
    for strides, kernel, stride in zip(
        patch_of(geometry), geometry.kernel, geometry.stride, strict=True
    ):
        pixels *= strides * stride
        covering *= strides + (kernel - 1) // stride
    return pixels <= 18 and covering <= 16


# ---------------------------------------------------------------------------------------- kernels

ALL = tl.constexpr(tl.PropagateNan.ALL)


@triton.jit
def nothing():
    """A tuple to begin with."""
    return ()


@triton.jit
def larger(best, at, x, x_at, INDEX: tl.constexpr):
    """The larger of two maxima and its place: the first of equal ones, the last of NaNs.

    ``not x <= bound`` is true of a larger x and of NaN; once the best is NaN the bound is inf,
    which only another NaN passes.  That is one comparison fewer than asking for NaN.
    """
    if INDEX:
        bound = tl.minimum(best, tl.full(best.shape, float("inf"), best.dtype))
        at = tl.where(x <= bound, at, x_at)
    return tl.maximum(best, x, propagate_nan=ALL), at


@triton.jit
def keep(
    y_ptr, index_ptr, y_pixel, y_pitch, channels, c, is_real, best, at, RELU: tl.constexpr
):  # fmt: skip
    """Write maxima [PIXELS, CHANNELS] and, where it is wanted, their places."""
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
    """ROWS output rows a thread; grid: (images x bands of rows x columns) x channels."""
    INDEX: tl.constexpr = index_ptr is not None
    PADDED: tl.constexpr = PADDING_TOP + PADDING_LEFT > 0
    image, band, column, c = place(bands, width_out, channels, PIXELS, CHANNELS)
    top = band * (ROWS * STRIDE_H) - PADDING_TOP
    left = column * STRIDE_W - PADDING_LEFT
    corner = (image.to(tl.int64) * height + top) * width + left
    start = x_ptr + (corner * x_pitch)[:, None] + c[None, :]
    row_step = tl.cast(width, tl.int64) * x_pitch
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    # Each input row's maxima, then each output row's from those; the rows are few, so all unrolled.
    minus = tl.full((PIXELS, CHANNELS), float("-inf"), x_ptr.dtype.element_ty)
    maxima = nothing()
    places = nothing()
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
            maxima += (best,)
            places += (at,)
        if PADDED:  # of windows that hold nothing above minus infinity: the first tap on the map
            first = tl.maximum(-top - o * STRIDE_H, 0) * KERNEL_W + tl.maximum(-left, 0)
            best, at = larger(
                minus, first[:, None], maxima[o * STRIDE_H], places[o * STRIDE_H], INDEX
            )
        else:
            best, at = maxima[o * STRIDE_H], places[o * STRIDE_H]
        for r in tl.static_range(1, KERNEL_H):
            row_best = maxima[o * STRIDE_H + r]
            row_at = places[o * STRIDE_H + r] + r * KERNEL_W
            best, at = larger(best, at, row_best, row_at, INDEX)
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
    """Windows of any size; grid: output pixels x channels."""
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
    """Patches of DOWN x RIGHT strides of dx, from -padding on; grid: patches x channels.

    The windows that cover a patch are BACK_H more than it has strides, and each of its pixels is a
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
    gradients = nothing()
    places = nothing()
    for a in tl.static_range(DOWN + BACK_H):
        is_row = is_within(i + a, height_out, a < BACK_H, True)
        for b in tl.static_range(ACROSS):
            is_window = is_row & is_within(j + b, width_out, b < BACK_W, True)
            mask = is_window[:, None] & is_real
            step = tl.cast(width_out, tl.int64) * a + b
            dy = tl.load(dy_start + step * dy_pitch, mask, other=0.0)
            gradients += (dy.to(ACCUMULATOR),)
            places += (tl.load(index_start + step * channels, mask, other=255),)
    top = (i + BACK_H) * STRIDE_H - PADDING_TOP
    left = (j + BACK_W) * STRIDE_W - PADDING_LEFT
    pixel = (image.to(tl.int64) * height + top) * width + left
    dx_start = dx_ptr + (pixel * channels)[:, None] + c[None, :]
    for u in tl.static_range(DOWN * STRIDE_H):
        is_row = is_within(top + u, height, u < PADDING_TOP, True)
        for v in tl.static_range(RIGHT * STRIDE_W):
            dx = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
            # Of the windows from the last that covers the pixel on, those that reach back to it.
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
    """Windows of any size; grid: input pixels x channels."""
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


def maxpool_launches(
    x: Tensor, y: Tensor, index: Tensor | None, geometry: Geometry, *, relu: bool
) -> list[Launch]:
    """The pool as one launch: ``x`` [N, H, W, C] into ``y`` [N, H', W', C], and the places of the
    maxima into ``index`` [N, H', W', C] of bytes where they are wanted."""
    tile = choose(geometry.channels, x.dtype)
    arguments = (
        sizes(geometry)
        | steps(geometry)
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
    if not shares_rows(geometry):
        programs = tile.programs(geometry.pixels_out, geometry.channels)
        return [Launch(large_maxima, (programs,), arguments, tile.warps)]
    rows = rows_of(geometry)
    bands = blocks(geometry.height_out, rows)
    # Counted from the start of a band, and the last band may hang over the end.
    arguments |= {"bands": bands, "ROWS": rows, "INSIDE_H": inside(geometry, 0, (bands - 1) * rows)}
    pixels = geometry.batch * bands * geometry.width_out
    programs = tile.programs(pixels, geometry.channels)
    return [Launch(small_maxima, (programs,), arguments, tile.warps)]


def maxpool_backward_launches(
    dy: Tensor, index: Tensor, dx: Tensor, geometry: Geometry
) -> list[Launch]:
    """The gradient as one launch: ``dy`` [N, H', W', C] and the bytes of ``index`` into ``dx``
    [N, H, W, C], which is contiguous."""
    tile = choose(geometry.channels, dy.dtype)
    arguments = (
        sizes(geometry)
        | steps(geometry)
        | tile.constants()
        | {
            "dy_ptr": dy,
            "index_ptr": index,
            "dx_ptr": dx,
            "dy_pitch": pitch("dy", dy),
            "ACCUMULATOR": accumulator(dy.dtype),
        }
    )
    if not has_patches(geometry):
        pixels = geometry.batch * geometry.height * geometry.width
        programs = tile.programs(pixels, geometry.channels)
        return [Launch(large_gradients, (programs,), arguments, tile.warps)]
    down, right = patch_of(geometry)
    patches_h = blocks(geometry.height + geometry.padding[0], down * geometry.stride[0])
    patches_w = blocks(geometry.width + geometry.padding[2], right * geometry.stride[1])
    arguments |= {"patches_h": patches_h, "patches_w": patches_w, "DOWN": down, "RIGHT": right}
    programs = tile.programs(geometry.batch * patches_h * patches_w, geometry.channels)
    return [Launch(patch_gradients, (programs,), arguments, tile.warps)]


# -------------------------------------------------------------------------------------- operators


def max_pool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Max-pooling of ``x`` [N, H, W, C]; differentiable.

    ``kernel`` and ``stride`` are (height, width), ``padding`` (top, bottom, left, right); rounding
    up is overhang in bottom and right.  Autograd is registered on the operator with the index:
    this picks it where a gradient will be asked for, and ``netspec::maxpool`` elsewhere.

    Raises:
        ValueError: a layout, a size or an attribute is none that fits; more than 255 taps where a
            gradient is asked for.
        TypeError: the type is none that the kernels take.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return maxpool_with_index(x, kernel, stride, padding)[0]
    return maxpool(x, kernel, stride, padding)


def relu_max_pool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """Max-pooling of max(x, 0), as :func:`max_pool`; with a gradient, of at most 254 taps."""
    if torch.is_grad_enabled() and x.requires_grad:
        return relu_maxpool_with_index(x, kernel, stride, padding)[0]
    return relu_maxpool(x, kernel, stride, padding)


@torch.library.custom_op("netspec::maxpool", mutates_args=())
def maxpool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """y [N, H', W', C] of ``x`` [N, H, W, C], for inference; :func:`max_pool` has a gradient."""
    return _forward(x, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::relu_maxpool", mutates_args=())
def relu_maxpool(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    """The same of max(x, 0)."""
    return _forward(x, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_out", mutates_args={"y"})
def maxpool_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    """:func:`maxpool` into ``y`` [N, H', W', C], which may be a slice of channels."""
    _forward_into(x, y, None, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::relu_maxpool_out", mutates_args={"y"})
def relu_maxpool_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    """:func:`relu_maxpool` into ``y`` [N, H', W', C], which may be a slice of channels."""
    _forward_into(x, y, None, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_with_index", mutates_args=())
def maxpool_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    """y and the bytes of its places [N, H', W', C], for training; at most 255 taps."""
    return _forward_with_index(x, kernel, stride, padding, relu=False)


@torch.library.custom_op("netspec::relu_maxpool_with_index", mutates_args=())
def relu_maxpool_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    """The same of max(x, 0), with 255 where no gradient passes; at most 254 taps."""
    return _forward_with_index(x, kernel, stride, padding, relu=True)


@torch.library.custom_op("netspec::maxpool_backward", mutates_args=())
def maxpool_backward(
    dy: Tensor,
    index: Tensor,
    height: int,
    width: int,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
) -> Tensor:
    """dx [N, height, width, C] from ``dy`` and ``index`` [N, H', W', C], of either forward.

    Raises:
        ValueError: a layout, a size or an attribute is none that fits.
        TypeError: a type or a device is wrong.
    """
    check_device(dy)
    pitch("dy", dy)
    size = (dy.shape[0], height, width, dy.shape[3])
    geometry = checked(size, kernel, stride, padding)
    check_size("dy", dy, geometry.size_out)
    check_size("index", index, geometry.size_out)
    if index.dtype != torch.uint8 or index.device != dy.device or not index.is_contiguous():
        raise TypeError(f"index must be contiguous uint8 on {dy.device}, as the forward made it")
    dx = dy.new_empty(geometry.size_in)
    run(maxpool_backward_launches(dy, index, dx, geometry))
    return dx


def _forward(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], *, relu: bool
) -> Tensor:
    geometry = _geometry(x, kernel, stride, padding)
    y = x.new_empty(geometry.size_out)
    run(maxpool_launches(x, y, None, geometry, relu=relu))
    return y


def _forward_into(
    x: Tensor,
    y: Tensor,
    index: Tensor | None,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    *,
    relu: bool,
) -> None:
    geometry = _geometry(x, kernel, stride, padding)
    check_kind("y", y, x)
    pitch("y", y)
    check_size("y", y, geometry.size_out)
    run(maxpool_launches(x, y, index, geometry, relu=relu))


def _forward_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], *, relu: bool
) -> tuple[Tensor, Tensor]:
    geometry = _geometry(x, kernel, stride, padding)
    taps, most = geometry.kernel[0] * geometry.kernel[1], TAPS - relu
    if taps > most:
        raise ValueError(
            f"a window of {kernel[0]}x{kernel[1]} has {taps} taps; its index is one byte, which "
            f"holds {most}: a larger max-pool can be inferred, not trained"
        )
    y = x.new_empty(geometry.size_out)
    index = torch.empty(geometry.size_out, dtype=torch.uint8, device=x.device)
    run(maxpool_launches(x, y, index, geometry, relu=relu))
    return y, index


def _geometry(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Geometry:
    check_device(x)
    pitch("x", x)
    return checked(x.shape, kernel, stride, padding)


def _fake(x: Tensor, kernel: list[int], stride: list[int], padding: list[int]) -> Tensor:
    return x.new_empty(windows(x.shape, kernel, stride, padding).size_out)


def _fake_with_index(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> tuple[Tensor, Tensor]:
    y = _fake(x, kernel, stride, padding)
    return y, torch.empty_like(y, dtype=torch.uint8)


def _fake_out(
    x: Tensor, y: Tensor, kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    return None


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, *ctx.steps = inputs
    ctx.size = x.shape[1:3]
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _gradient(ctx: Any, dy: Tensor, _: object) -> tuple[Tensor, None, None, None]:
    (index,) = ctx.saved_tensors
    return maxpool_backward(as_map(dy), index, *ctx.size, *ctx.steps), None, None, None


for _operator in (maxpool, relu_maxpool):
    _operator.register_fake(_fake)
for _operator in (maxpool_out, relu_maxpool_out):
    _operator.register_fake(_fake_out)
for _operator in (maxpool_with_index, relu_maxpool_with_index):
    _operator.register_fake(_fake_with_index)
    _operator.register_autograd(_gradient, setup_context=_save)


@maxpool_backward.register_fake
def _fake_backward(
    dy: Tensor,
    index: Tensor,
    height: int,
    width: int,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
) -> Tensor:
    return dy.new_empty((dy.shape[0], height, width, dy.shape[3]))


# ---------------------------------------------------------------------------------------- shipped

SHIPPED = (
    ("55x55x96 3x3/2", (32, 55, 55, 96), [3, 3], [2, 2], [0, 0, 0, 0]),
    ("112x112x64 3x3/2 up", (32, 112, 112, 64), [3, 3], [2, 2], [0, 1, 0, 1]),
    ("28x28x192 3x3/1 padded", (32, 28, 28, 192), [3, 3], [1, 1], [1, 1, 1, 1]),
    ("relu 224x224x64 2x2/2", (32, 224, 224, 64), [2, 2], [2, 2], [0, 0, 0, 0]),
    ("13x13x512 13x13/1 padded", (32, 13, 13, 512), [13, 13], [1, 1], [6, 6, 6, 6]),
)
"""Layers of AlexNet, GoogLeNet and its inception modules, VGG16; and a large window, as a spatial
pyramid has it."""


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Launches of the layers that the configurations are meant for, on tensors without memory."""
    for name, size, kernel, stride, padding in SHIPPED:
        relu = name.startswith("relu")
        geometry = checked(size, kernel, stride, padding)
        x = torch.empty(size, dtype=dtype, device="meta")
        y = torch.empty(geometry.size_out, dtype=dtype, device="meta")
        index = torch.empty(geometry.size_out, dtype=torch.uint8, device="meta")
        (forward,) = maxpool_launches(x, y, index, geometry, relu=relu)
        (backward,) = maxpool_backward_launches(y, index, x, geometry)
        yield f"maxpool with index {name}", forward
        yield f"maxpool backward {name}", backward
        if name == SHIPPED[0][0]:
            (forward,) = maxpool_launches(x, y, None, geometry, relu=relu)
            yield f"maxpool {name}", forward

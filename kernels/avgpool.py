"""Average pooling over windows and over whole maps, forward and backward.

    y[n, i, j, c] = (sum over r, s of x[n, i stride + r - top, j stride + s - left, c])
                    / count(i, j)

Taps outside of the map are zeros.  ``count`` is the positions of the window that lie on the map or,
with ``count_pad``, on the map and its padding; overhang, which rounding up leaves at the bottom and
at the right, is never counted.

    dx[n, h, w, c] = sum over windows (i, j) that cover (h, w) of dy[n, i, j, c] / count(i, j)

The gradient is gathered: each element is summed by one thread in one order.  Nothing is saved.
3 x 3 / 2 in 16 bits moves 2.5 bytes an input element either way, for 2.25 additions forward and 4
backward, since each element looks at (3 / 2 rounded up)^2 windows.

Global average pooling reads whole maps: y[n, 0, 0, c] is the mean of x[n, :, :, c] (Lin et al.
2013), 2 bytes an element in 16 bits.  Where batch and channels make too few programs to fill a GPU,
several share a map, and a second kernel adds their sums up in one order.

The kernels have room for a coefficient and a bias of each channel, which subsampling trains
(:mod:`netspec.kernels.subsample`).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import Launch, blocks, run
from netspec.kernels.layout import check_device, check_kind, pitch
from netspec.kernels.pool_geometry import (
    MOST_PIXELS,
    as_map,
    check_size,
    checked,
    choose,
    is_within,
    place,
    sizes,
    steps,
    windows,
)

# --------------------------------------------------------------------------------- configurations

LOADS = 4
"""Loads of 16 bytes a thread that sums of whole maps keep in flight."""

PROGRAMS = 264
"""Programs that fill a GPU: two for each multiprocessor of an H100 or H200."""


def parts_of(pixels: int, programs: int, block: int) -> int:
    """Programs that share a sum over ``pixels``, where ``programs`` others run beside each, and
    each has two blocks at least."""
    return max(1, min(PROGRAMS // max(1, programs), blocks(pixels, 2 * block)))


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def window_sums(
    x_ptr, image, top, left, c, is_real, x_pitch, height, width,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr, ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Sums over the windows that begin at (top, left): [PIXELS, CHANNELS]."""
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
    """1 / count of the windows that begin at (top, left): positions in FIRST..end count."""
    rows = tl.minimum(top + KERNEL_H, end_h) - tl.maximum(top, FIRST_H)
    columns = tl.minimum(left + KERNEL_W, end_w) - tl.maximum(left, FIRST_W)
    # Windows that there are none of are asked about too, and nothing is divided by nothing.
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
    """y = share of the sum, times coefficient, plus bias; grid: output pixels x channels.

    SHARE is that of all windows alike, or None where they differ.
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
    """The gradient of :func:`averages` in x; grid: input pixels x channels."""
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


@triton.jit
def map_sums(
    x_ptr, y_ptr, x_pitch, batch, pixels, channels, parts, count,
    ACCUMULATOR: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """y[part, n, c] = (sum of a part of the map x[n, :, c]) / count; grid: channels x parts x n."""
    tiles = tl.cdiv(channels, CHANNELS)
    program = tl.program_id(0)
    c = program % tiles * CHANNELS + tl.arange(0, CHANNELS)
    part = program // tiles % parts
    image = (program // tiles // parts).to(tl.int64)
    share = tl.cdiv(tl.cdiv(pixels, PIXELS), parts) * PIXELS
    start = x_ptr + image * pixels * x_pitch + c[None, :]
    total = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
    for first in range(part * share, tl.minimum((part + 1) * share, pixels), PIXELS):
        pixel = first + tl.arange(0, PIXELS)
        mask = (pixel < pixels)[:, None] & (c < channels)[None, :]
        x = tl.load(start + (pixel.to(tl.int64) * x_pitch)[:, None], mask, other=0.0)
        total += x.to(ACCUMULATOR)
    y = tl.sum(total, 0) / tl.cast(count, ACCUMULATOR)
    y_at = y_ptr + (part * batch + image) * channels + c
    tl.store(y_at, y.to(y_ptr.dtype.element_ty), c < channels)


@triton.jit
def map_gradients(
    dy_ptr, dx_ptr, dy_pitch, batch, height, width, channels,
    ACCUMULATOR: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """dx[n, h, w, c] = dy[n, 0, 0, c] / (height width); grid: input pixels x channels."""
    image, h, w, c = place(height, width, channels, PIXELS, CHANNELS)
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    dy_at = dy_ptr + (image.to(tl.int64) * dy_pitch)[:, None] + c[None, :]
    count = tl.cast(height, ACCUMULATOR) * tl.cast(width, ACCUMULATOR)
    dx = tl.load(dy_at, is_real, other=0.0).to(ACCUMULATOR) * (1.0 / count)
    pixel = (image.to(tl.int64) * height + h) * width + w
    dx_at = dx_ptr + (pixel * channels)[:, None] + c[None, :]
    tl.store(dx_at, dx.to(dx_ptr.dtype.element_ty), is_real)


@triton.jit
def sum_parts(
    part_ptr, y_ptr, parts, columns, count,
    ACCUMULATOR: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """y[j] = (sum over i of part[i, j]) / count, in one order; grid: columns."""
    j = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for first in range(0, parts, ROWS):
        i = first + tl.arange(0, ROWS)
        total += tl.load(
            part_ptr + i.to(tl.int64)[:, None] * columns + j[None, :],
            mask=(i < parts)[:, None] & (j < columns)[None, :],
            other=0.0,
        )
    y = tl.sum(total, 0) / tl.cast(count, ACCUMULATOR)
    tl.store(y_ptr + j, y.to(y_ptr.dtype.element_ty), mask=j < columns)


# --------------------------------------------------------------------------------------- launches


def sum_of_parts(part: Tensor, y: Tensor, count: int = 1) -> Launch:
    """The last step of a sum that many programs share: ``part`` [parts, ...] into ``y`` [...]."""
    columns = prod(part.shape[1:])
    arguments = {
        "part_ptr": part,
        "y_ptr": y,
        "parts": part.shape[0],
        "columns": columns,
        "count": count,
        "ACCUMULATOR": accumulator(part.dtype),
        "ROWS": 32,
        "COLUMNS": 32,
    }
    return Launch(sum_parts, (blocks(columns, 32),), arguments)


def average_launches(
    x: Tensor,
    y: Tensor,
    geometry: Geometry,
    *,
    share: float | None,
    counts: dict[str, int],
    coefficient: Tensor | None = None,
    bias: Tensor | None = None,
) -> list[Launch]:
    """y [N, H', W', C] = coefficient [C] times the share of the sums of ``x`` [N, H, W, C], plus
    bias [C], as one launch; ``counts`` says what counts where ``share`` is None."""
    tile = choose(geometry.channels, x.dtype)
    arguments = _arguments(geometry, share, counts, x.dtype) | {
        "x_ptr": x,
        "coefficient_ptr": coefficient,
        "bias_ptr": bias,
        "y_ptr": y,
        "x_pitch": pitch("x", x),
        "y_pitch": pitch("y", y),
    }
    programs = tile.programs(geometry.pixels_out, geometry.channels)
    return [Launch(averages, (programs,), arguments | tile.constants(), tile.warps)]


def average_backward_launches(
    dy: Tensor,
    dx: Tensor,
    geometry: Geometry,
    *,
    share: float | None,
    counts: dict[str, int],
    coefficient: Tensor | None = None,
) -> list[Launch]:
    """The gradient of :func:`average_launches` in x: ``dy`` [N, H', W', C] into ``dx``
    [N, H, W, C], which is contiguous."""
    tile = choose(geometry.channels, dy.dtype)
    arguments = _arguments(geometry, share, counts, dy.dtype) | {
        "dy_ptr": dy,
        "coefficient_ptr": coefficient,
        "dx_ptr": dx,
        "dy_pitch": pitch("dy", dy),
    }
    pixels = geometry.batch * geometry.height * geometry.width
    programs = tile.programs(pixels, geometry.channels)
    return [Launch(average_gradients, (programs,), arguments | tile.constants(), tile.warps)]


def _arguments(
    geometry: Geometry, share: float | None, counts: dict[str, int], dtype: torch.dtype
) -> dict[str, object]:
    return (
        sizes(geometry)
        | steps(geometry)
        | counts
        | {"SHARE": share, "ACCUMULATOR": accumulator(dtype)}
    )


def counting(
    geometry: Geometry, padding: list[int], *, count_pad: bool
) -> tuple[float | None, dict[str, int]]:
    """The share of every window, None where they differ, and what counts then: the map or, with
    ``count_pad``, the map and its ``padding``, which ``geometry`` holds with the overhang."""
    top, bottom, left, right = padding if count_pad else (0, 0, 0, 0)
    counts = {
        "FIRST_H": -top,
        "FIRST_W": -left,
        "end_h": geometry.height + bottom,
        "end_w": geometry.width + right,
    }
    last_h = (geometry.height_out - 1) * geometry.stride[0] + geometry.kernel[0]
    last_w = (geometry.width_out - 1) * geometry.stride[1] + geometry.kernel[1]
    is_alike = (
        (top, left) == (geometry.padding[0], geometry.padding[2])
        and last_h - geometry.padding[0] <= counts["end_h"]
        and last_w - geometry.padding[2] <= counts["end_w"]
    )
    return (1.0 / prod(geometry.kernel) if is_alike else None), counts


def gap_launches(x: Tensor, y: Tensor) -> list[Launch]:
    """The means of whole maps: ``x`` [N, H, W, C] into ``y`` [N, 1, 1, C], contiguous.

    One launch, or two where several programs share a map.
    """
    batch, height, width, channels = x.shape
    tile = choose(channels, x.dtype, LOADS)
    programs = batch * blocks(channels, tile.channels)
    parts = parts_of(height * width, programs, tile.pixels)
    sums = y
    if parts > 1:
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        sums = x.new_empty((parts, batch, channels), dtype=dtype)
    arguments = {
        "x_ptr": x,
        "y_ptr": sums,
        "x_pitch": pitch("x", x),
        "batch": batch,
        "pixels": height * width,
        "channels": channels,
        "parts": parts,
        "count": height * width if parts == 1 else 1,
        "ACCUMULATOR": accumulator(x.dtype),
    }
    launch = Launch(map_sums, (programs * parts,), arguments | tile.constants(), tile.warps)
    return [launch] if parts == 1 else [launch, sum_of_parts(sums, y, height * width)]


def gap_backward_launches(dy: Tensor, dx: Tensor) -> list[Launch]:
    """``dy`` [N, 1, 1, C] spread over ``dx`` [N, H, W, C], which is contiguous, as one launch."""
    batch, height, width, channels = dx.shape
    tile = choose(channels, dx.dtype)
    arguments = {
        "dy_ptr": dy,
        "dx_ptr": dx,
        "dy_pitch": pitch("dy", dy),
        "batch": batch,
        "height": height,
        "width": width,
        "channels": channels,
        "ACCUMULATOR": accumulator(dx.dtype),
    }
    programs = tile.programs(batch * height * width, channels)
    return [Launch(map_gradients, (programs,), arguments | tile.constants(), tile.warps)]


# -------------------------------------------------------------------------------------- operators


@torch.library.custom_op("netspec::avgpool", mutates_args=())
def avgpool(
    x: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> Tensor:
    """Average pooling of ``x`` [N, H, W, C] into y [N, H', W', C]; differentiable.

    ``kernel`` and ``stride`` are (height, width), ``padding`` (top, bottom, left, right) and
    ``overhang`` (bottom, right), in pixels; ``count_pad`` says whether the mean counts the padding.

    Raises:
        ValueError: a layout, a size or an attribute is none that fits.
        TypeError: the type is none that the kernels take.
    """
    geometry = _geometry(x, kernel, stride, padding, overhang)
    y = x.new_empty(geometry.size_out)
    share, counts = counting(geometry, padding, count_pad=count_pad)
    run(average_launches(x, y, geometry, share=share, counts=counts))
    return y


@torch.library.custom_op("netspec::avgpool_out", mutates_args={"y"})
def avgpool_out(
    x: Tensor,
    y: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> None:
    """:func:`avgpool` into ``y`` [N, H', W', C], which may be a slice of channels."""
    geometry = _geometry(x, kernel, stride, padding, overhang)
    check_kind("y", y, x)
    pitch("y", y)
    check_size("y", y, geometry.size_out)
    share, counts = counting(geometry, padding, count_pad=count_pad)
    run(average_launches(x, y, geometry, share=share, counts=counts))


@torch.library.custom_op("netspec::avgpool_backward", mutates_args=())
def avgpool_backward(
    dy: Tensor,
    height: int,
    width: int,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> Tensor:
    """dx [N, height, width, C] of ``dy`` [N, H', W', C]; raises as :func:`avgpool`."""
    check_device(dy)
    pitch("dy", dy)
    size = (dy.shape[0], height, width, dy.shape[3])
    geometry = checked(size, kernel, stride, _together(padding, overhang))
    check_size("dy", dy, geometry.size_out)
    dx = dy.new_empty(geometry.size_in)
    share, counts = counting(geometry, padding, count_pad=count_pad)
    run(average_backward_launches(dy, dx, geometry, share=share, counts=counts))
    return dx


@torch.library.custom_op("netspec::gap", mutates_args=())
def gap(x: Tensor) -> Tensor:
    """Global average pooling: the means of ``x`` [N, H, W, C] as y [N, 1, 1, C]; differentiable.

    Raises:
        ValueError: the layout is no channels-last one, or a map has no pixels or too many.
        TypeError: the type is none that the kernels take.
    """
    check_device(x)
    pitch("x", x)
    _check_map(x.shape[1], x.shape[2], x.shape[0])
    y = x.new_empty((x.shape[0], 1, 1, x.shape[3]))
    run(gap_launches(x, y))
    return y


@torch.library.custom_op("netspec::gap_backward", mutates_args=())
def gap_backward(dy: Tensor, height: int, width: int) -> Tensor:
    """dx [N, height, width, C] of ``dy`` [N, 1, 1, C]; raises as :func:`gap`."""
    check_device(dy)
    pitch("dy", dy)
    check_size("dy", dy, (dy.shape[0], 1, 1, dy.shape[3]))
    _check_map(height, width, dy.shape[0])
    dx = dy.new_empty((dy.shape[0], height, width, dy.shape[3]))
    run(gap_backward_launches(dy, dx))
    return dx


def _check_map(height: int, width: int, batch: int) -> None:
    if min(height, width) < 1 or batch * height * width > MOST_PIXELS:
        raise ValueError(
            f"{batch} maps of {height}x{width} have no pixels, or more than {MOST_PIXELS}"
        )


def _together(padding: list[int], overhang: list[int]) -> list[int]:
    """Padding and overhang, as one."""
    if len(padding) != 4 or len(overhang) != 2 or min(overhang) < 0:
        raise ValueError(
            f"padding must be 4 integers and overhang 2, at least 0, and are {list(padding)} and "
            f"{list(overhang)}"
        )
    top, bottom, left, right = padding
    return [top, bottom + overhang[0], left, right + overhang[1]]


def _geometry(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], overhang: list[int]
) -> Geometry:
    check_device(x)
    pitch("x", x)
    return checked(x.shape, kernel, stride, _together(padding, overhang))


@avgpool.register_fake
def _fake(
    x: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    overhang: list[int],
    count_pad: bool,
) -> Tensor:
    return x.new_empty(windows(x.shape, kernel, stride, _together(padding, overhang)).size_out)


@avgpool_out.register_fake
def _fake_out(*arguments: object) -> None:
    return None


@avgpool_backward.register_fake
def _fake_backward(dy: Tensor, height: int, width: int, *attributes: object) -> Tensor:
    return dy.new_empty((dy.shape[0], height, width, dy.shape[3]))


@gap.register_fake
def _fake_gap(x: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], 1, 1, x.shape[3]))


gap_backward.register_fake(_fake_backward)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.attributes = inputs
    ctx.size = x.shape[1:3]


def _gradient(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    dx = avgpool_backward(as_map(dy), *ctx.size, *ctx.attributes)
    return (dx, *[None] * len(ctx.attributes))


def _gap_gradient(ctx: Any, dy: Tensor) -> Tensor:
    return gap_backward(as_map(dy), *ctx.size)


avgpool.register_autograd(_gradient, setup_context=_keep)
gap.register_autograd(_gap_gradient, setup_context=_keep)

# ---------------------------------------------------------------------------------------- shipped

SHIPPED = (
    ("14x14x512 5x5/3", (32, 14, 14, 512), [5, 5], [3, 3], [0, 0, 0, 0]),
    ("35x35x288 3x3/1 padded", (32, 35, 35, 288), [3, 3], [1, 1], [1, 1, 1, 1]),
)
"""GoogLeNet's auxiliary classifiers; an inception module of the third version."""


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Launches of the layers that the configurations are meant for, on tensors without memory."""
    for name, size, kernel, stride, padding in SHIPPED:
        geometry = checked(size, kernel, stride, padding)
        x = torch.empty(size, dtype=dtype, device="meta")
        y = torch.empty(geometry.size_out, dtype=dtype, device="meta")
        share, counts = counting(geometry, padding, count_pad=False)
        (forward,) = average_launches(x, y, geometry, share=share, counts=counts)
        (backward,) = average_backward_launches(y, x, geometry, share=share, counts=counts)
        yield f"avgpool {name}", forward
        yield f"avgpool backward {name}", backward
    for name, size in (("7x7x1024", (32, 7, 7, 1024)), ("112x112x64 alone", (1, 112, 112, 64))):
        x = torch.empty(size, dtype=dtype, device="meta")
        y = torch.empty((size[0], 1, 1, size[3]), dtype=dtype, device="meta")
        for step, launch in enumerate(gap_launches(x, y)):
            yield f"gap {name}" + (", sums of parts" if step else ""), launch
        (backward,) = gap_backward_launches(y, x)
        yield f"gap backward {name}", backward

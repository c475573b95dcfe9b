"""Means of whole maps, and their gradient.

    y[n, 0, 0, c] = (sum over h, w of x[n, h, w, c]) / (height width)
    dx[n, h, w, c] = dy[n, 0, 0, c] / (height width)

This is global average pooling (Lin et al. 2013).  Each direction moves 2 bytes per element in 16
bits.  If batch and channels make too few programs to fill a GPU, several programs share a map, and
a second kernel (``sums.py``) adds their sums in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator, accumulator_dtype
from netspec.kernels.launch import Launch, blocks
from netspec.kernels.layout import pitch
from netspec.kernels.pool.geometry import choose, place
from netspec.kernels.sums import parts_of, sum_of_many

# --------------------------------------------------------------------------------- configurations

LOADS = 4
"""Number of 16-byte loads per thread that sums of whole maps keep in flight."""

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def map_sums(
    x_ptr, y_ptr, x_pitch, batch, pixels, channels, parts, count,
    ACCUMULATOR: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute y[part, n, c] = (sum of a part of x[n, :, c]) / count; grid: channels, parts, n."""
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
    """Compute dx[n, h, w, c] = dy[n, 0, 0, c] / (height width); grid: input pixels x channels."""
    image, h, w, c = place(height, width, channels, PIXELS, CHANNELS)
    is_real = (image < batch)[:, None] & (c < channels)[None, :]
    dy_at = dy_ptr + (image.to(tl.int64) * dy_pitch)[:, None] + c[None, :]
    count = tl.cast(height, ACCUMULATOR) * tl.cast(width, ACCUMULATOR)
    dx = tl.load(dy_at, is_real, other=0.0).to(ACCUMULATOR) * (1.0 / count)
    pixel = (image.to(tl.int64) * height + h) * width + w
    dx_at = dx_ptr + (pixel * channels)[:, None] + c[None, :]
    tl.store(dx_at, dx.to(dx_ptr.dtype.element_ty), is_real)


# --------------------------------------------------------------------------------------- launches


def launches(x: Tensor, y: Tensor) -> list[Launch]:
    """Return the launches of y [N, 1, 1, C], contiguous, from x [N, H, W, C].

    There are two launches if several programs share a map, else one.
    """
    batch, height, width, channels = x.shape
    tile = choose(channels, x.dtype, LOADS)
    programs = batch * blocks(channels, tile.channels)
    parts = parts_of(height * width, programs, tile.pixels)
    sums = y
    if parts > 1:
        sums = x.new_empty((parts, batch, channels), dtype=accumulator_dtype(x.dtype))
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
    return [launch] if parts == 1 else [launch, sum_of_many(sums, y, height * width)]


def backward_launches(dy: Tensor, dx: Tensor) -> list[Launch]:
    """Return the launch of dx [N, H, W, C], contiguous, from dy [N, 1, 1, C]."""
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


# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield launches of one large map, which several programs share, on the ``meta`` device."""
    x = torch.empty(1, 112, 112, 64, dtype=dtype, device="meta")
    y = torch.empty(1, 1, 1, 64, dtype=dtype, device="meta")
    parts, sums = launches(x, y)
    yield "gap 112x112x64 alone", parts
    yield "gap 112x112x64 alone, sums of parts", sums
    (backward,) = backward_launches(y, x)
    yield "gap backward 112x112x64 alone", backward

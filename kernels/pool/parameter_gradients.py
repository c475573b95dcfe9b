"""The gradients of the parameters of subsampling: sums over all output pixels.

    dcoefficient[c] = sum over n, i, j of dy[n, i, j, c] p[n, i, j, c]
    dbias[c] = sum over n, i, j of dy[n, i, j, c]

with p as in ``subsample.py``; it is computed again.  The sums are divided into parts, which a
second kernel (``sums.py``) adds in a fixed order, so that the result has the same bits each time.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator, accumulator_dtype
from netspec.kernels.launch import Launch, blocks
from netspec.kernels.layout import pitch
from netspec.kernels.pool.averages import window_sums
from netspec.kernels.pool.geometry import choose, constants, sizes
from netspec.kernels.sums import parts_of, sum_of_many
from netspec.kernels.windows import Windows

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def parameter_sums(
    x_ptr, dy_ptr, dcoefficient_ptr, dbias_ptr, x_pitch, dy_pitch, pixels, parts,
    batch, height, width, height_out, width_out, channels,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    INSIDE_H: tl.constexpr, INSIDE_W: tl.constexpr,
    SHARE: tl.constexpr, ACCUMULATOR: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Compute sums of dy p and of dy over a part of the output pixels; grid: channels x parts."""
    tiles = tl.cdiv(channels, CHANNELS)
    c = tl.program_id(0) % tiles * CHANNELS + tl.arange(0, CHANNELS)
    part = tl.program_id(0) // tiles
    share = tl.cdiv(tl.cdiv(pixels, PIXELS), parts) * PIXELS
    dcoefficient = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
    dbias = tl.zeros((PIXELS, CHANNELS), ACCUMULATOR)
    for first in range(part * share, tl.minimum((part + 1) * share, pixels), PIXELS):
        pixel = first + tl.arange(0, PIXELS)
        is_real = (pixel < pixels)[:, None] & (c < channels)[None, :]
        rest = pixel // width_out
        total = window_sums(
            x_ptr, rest // height_out, rest % height_out * STRIDE_H - PADDING_TOP,
            pixel % width_out * STRIDE_W - PADDING_LEFT, c, is_real, x_pitch, height, width,
            KERNEL_H, KERNEL_W, PADDING_TOP, PADDING_LEFT, INSIDE_H, INSIDE_W, ACCUMULATOR,
        )  # fmt: skip
        dy_at = dy_ptr + (pixel.to(tl.int64) * dy_pitch)[:, None] + c[None, :]
        dy = tl.load(dy_at, is_real, other=0.0).to(ACCUMULATOR)
        dcoefficient += dy * (total * SHARE)
        dbias += dy
    at = part * channels + c
    tl.store(dcoefficient_ptr + at, tl.sum(dcoefficient, 0), c < channels)
    tl.store(dbias_ptr + at, tl.sum(dbias, 0), c < channels)


# --------------------------------------------------------------------------------------- launches


def launches(
    dy: Tensor,
    x: Tensor,
    dcoefficient: Tensor,
    dbias: Tensor,
    windows: Windows,
    *,
    share: float,
) -> list[Launch]:
    """Return the launches of dcoefficient [C] and dbias [C] from dy [N, H', W', C] and x.

    The first launch computes the parts of both, and the others add the parts.
    """
    tile = choose(windows.channels, x.dtype)
    tiles = blocks(windows.channels, tile.channels)
    parts = parts_of(windows.pixels_out, tiles, tile.pixels)
    dtype = accumulator_dtype(x.dtype)
    sums = [x.new_empty((parts, windows.channels), dtype=dtype) for _ in range(2)]
    arguments = (
        sizes(windows)
        | constants(windows)
        | tile.constants()
        | {
            "x_ptr": x,
            "dy_ptr": dy,
            "dcoefficient_ptr": sums[0],
            "dbias_ptr": sums[1],
            "x_pitch": pitch("x", x),
            "dy_pitch": pitch("dy", dy),
            "pixels": windows.pixels_out,
            "parts": parts,
            "SHARE": share,
            "ACCUMULATOR": accumulator(x.dtype),
        }
    )
    return [
        Launch(parameter_sums, (tiles * parts,), arguments, tile.warps),
        sum_of_many(sums[0], dcoefficient),
        sum_of_many(sums[1], dbias),
    ]

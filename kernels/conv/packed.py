"""The forward convolution of a first layer: few channels, so taps and channels share one sum.

    y[m, o] = act(b[o] + sum over k of x[pixel(m, r, s), c] w[o, k]),   k = (r kw + s) C + c

With 3 channels, a sum over channels alone would use only 3 of 16 terms of the tensor cores.  Here a
sum runs over (r, s, c) together: the 363 terms of AlexNet's 11x11x3 fill 95 % of 6 steps of 64; the
27 terms of VGG's 3x3x3 fill 84 % of one step of 32.  Each value of a window is loaded separately,
from an image that stays in the L1 cache.  There is one group.  Filters are [O, kh, kw, C], so the
terms of a filter are contiguous.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import finished
from netspec.kernels.conv import tiles
from netspec.kernels.conv.geometry import Geometry, arguments_of, example
from netspec.kernels.conv.tiles import Product, ProductTile, place, store
from netspec.kernels.launch import Launch
from netspec.kernels.layout import pitch

# --------------------------------------------------------------------------------- configurations

TILES: tiles.Tiles = {
    "half": (
        ProductTile(128, 64, 32, warps=8, stages=3),
        ProductTile(64, 64, 32, warps=4, stages=3),
        ProductTile(128, 32, 32, warps=4, stages=3),
    ),
    "tf32": (
        ProductTile(64, 64, 16, warps=4, stages=3),
        ProductTile(128, 32, 16, warps=4, stages=3),
    ),
    "ieee": (
        ProductTile(64, 64, 16, warps=8, stages=3),
        ProductTile(64, 32, 16, warps=4, stages=3),
    ),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}

MOST_CHANNELS = 4
"""Maximum number of channels; with 5 or more, 16-byte loads of whole pixels are faster."""


def fits(geometry: Geometry) -> bool:
    """Return True if this kernel supports the convolution."""
    return geometry.groups == 1 and geometry.channels <= MOST_CHANNELS


def product(geometry: Geometry) -> Product:
    """Return the product, with taps and channels in one sum."""
    return Product(geometry.pixels_out, geometry.count, taps=1, depth=geometry.terms)


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def packed_offsets(
    k, x_pitch, width,
    KERNEL_W: tl.constexpr, CHANNELS: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
):  # fmt: skip
    """Return (row, column, distance in elements) of the k-th value of a window from its corner."""
    tap = k // CHANNELS
    h = tap // KERNEL_W * DILATION_H
    v = tap % KERNEL_W * DILATION_W
    return h, v, (h.to(tl.int64) * width + v) * x_pitch + k % CHANNELS


@triton.jit
def packed(
    x_ptr, w_ptr, b_ptr, y_ptr, x_pitch, y_pitch,
    height, width, height_out, width_out, pixels, count,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr, CHANNELS: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute one tile of outputs; grid: tiles."""
    row_tile, column_tile = place(
        tl.program_id(0), tl.cdiv(pixels, ROWS), tl.cdiv(count, COLUMNS), 8
    )
    rows = row_tile * ROWS + tl.arange(0, ROWS)
    o = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    rest = rows // width_out
    top = rest % height_out * STRIDE_H - PADDING_TOP
    left = rows % width_out * STRIDE_W - PADDING_LEFT
    corner = (((rest // height_out).to(tl.int64) * height + top) * width + left) * x_pitch
    terms: tl.constexpr = KERNEL_H * KERNEL_W * CHANNELS
    y = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for start in range(0, terms, DEPTH):
        k = start + tl.arange(0, DEPTH)
        h, v, distance = packed_offsets(
            k, x_pitch, width, KERNEL_W, CHANNELS, DILATION_H, DILATION_W
        )
        h = top[:, None] + h[None, :]
        v = left[:, None] + v[None, :]
        is_inside = (h >= 0) & (h < height) & (v >= 0) & (v < width)
        x = tl.load(
            x_ptr + corner[:, None] + distance[None, :],
            mask=is_inside & (rows < pixels)[:, None] & (k < terms)[None, :],
            other=0.0,
        )
        w = tl.load(
            w_ptr + o.to(tl.int64)[None, :] * terms + k[:, None],
            mask=(o < count)[None, :] & (k < terms)[:, None],
            other=0.0,
        )
        y = tl.dot(x, w, y, input_precision=PRECISION, out_dtype=ACCUMULATOR)
    y = finished(y, b_ptr, o, o < count, RELU, ACCUMULATOR)
    store(y_ptr, y_pitch, y, rows, o, o, pixels, count)


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    geometry: Geometry,
    *,
    relu: bool,
    precision: str,
    tile: ProductTile,
) -> list[Launch]:
    """Return the launch of a convolution, in a list; operands as for ``conv2d_out``."""
    arguments = {
        **arguments_of(x, geometry),
        "w_ptr": w,
        "b_ptr": b,
        "y_ptr": y,
        "y_pitch": pitch("y", y),
        "RELU": relu,
    }
    arguments["CHANNELS"] = arguments.pop("channels")
    grid = (tile.programs(geometry.pixels_out, geometry.count),)
    return [tile.launch(packed, grid, arguments, x.dtype, precision)]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch for each tile: AlexNet's first convolution at batch 32."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, b, y, geometry = example((32, 224, 224, 3), (96, 11, 11, 3), dtype, stride=4)
        (launch,) = launches(x, w, b, y, geometry, relu=True, precision=precision, tile=tile)
        yield f"packed {label}, C1", launch

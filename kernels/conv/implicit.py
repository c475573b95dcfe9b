"""The general forward convolution, as an implicit matrix product.

    y[m, o] = act(b[o] + sum over r, s, c of x[pixel(m, r, s), c] w[o, r, s, c])

The rows m are output pixels and the columns o are filters.  The outer loops run over the taps
(r, s) and the inner loop over channels, so that neighbouring threads read neighbouring channels.
The matrix of windows is never stored: its rows are read from the image, and taps outside the image
read zeros.

The loops over taps are nested, not combined into one loop: some versions of Triton miscompile the
combined loop at 8 warps (pytorch#173068).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

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
        ProductTile(128, 128, 64, warps=8, stages=3),
        ProductTile(128, 64, 64, warps=4, stages=3),
        ProductTile(64, 64, 64, warps=4, stages=4),
        ProductTile(64, 64, 16, warps=4, stages=4),
        ProductTile(64, 32, 64, warps=4, stages=4),
        ProductTile(16, 64, 64, warps=4, stages=3),
    ),
    "tf32": (
        ProductTile(128, 64, 32, warps=8, stages=3),
        ProductTile(64, 64, 32, warps=4, stages=3),
        ProductTile(64, 32, 32, warps=4, stages=3),
        ProductTile(16, 64, 32, warps=4, stages=3),
    ),
    "ieee": (
        ProductTile(64, 64, 16, warps=8, stages=3),
        ProductTile(64, 32, 16, warps=4, stages=3),
        ProductTile(32, 32, 16, warps=4, stages=3),
    ),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}


def product(geometry: Geometry) -> Product:
    """Return the product: output pixels x filters, over taps and channels."""
    return Product(
        rows=geometry.pixels_out,
        columns=geometry.count_of_group,
        taps=prod(geometry.kernel),
        depth=geometry.channels_of_group,
        groups=geometry.groups,
    )


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def window_products(
    x_ptr, w_ptr, x_pitch, height, width, height_out, width_out, pixels, channels, count,
    first, last, rows, columns,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Return sums over taps and over channels first to last - 1: [ROWS, COLUMNS], of one group."""
    column_out = rows % width_out
    rest = rows // width_out
    top = rest % height_out * STRIDE_H - PADDING_TOP
    left = column_out * STRIDE_W - PADDING_LEFT
    corner = ((rest // height_out).to(tl.int64) * height + top) * width + left
    w_row = columns.to(tl.int64) * (KERNEL_H * KERNEL_W * channels)
    total = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for r in range(KERNEL_H):
        h = top + r * DILATION_H
        for s in range(KERNEL_W):
            v = left + s * DILATION_W
            is_inside = (rows < pixels) & (h >= 0) & (h < height) & (v >= 0) & (v < width)
            x_row = (corner + (r * DILATION_H * width + s * DILATION_W)) * x_pitch
            tap = (r * KERNEL_W + s) * channels
            for start in range(first, last, DEPTH):
                c = start + tl.arange(0, DEPTH)
                x = tl.load(
                    x_ptr + x_row[:, None] + c[None, :],
                    mask=is_inside[:, None] & (c < last)[None, :],
                    other=0.0,
                )
                w = tl.load(
                    w_ptr + w_row[None, :] + (tap + c)[:, None],
                    mask=(columns < count)[None, :] & (c < last)[:, None],
                    other=0.0,
                )
                total = tl.dot(x, w, total, input_precision=PRECISION, out_dtype=ACCUMULATOR)
    return total


@triton.jit
def implicit(
    x_ptr, w_ptr, b_ptr, y_ptr, x_pitch, y_pitch,
    height, width, height_out, width_out, pixels, channels, count,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    UNIT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute one tile of the outputs of one group; grid: tiles x groups."""
    # Triton detects only divisibility by 16: this tells it that UNIT divides the values
    x_pitch = x_pitch // UNIT * UNIT
    channels = channels // UNIT * UNIT
    row_tile, column_tile = place(
        tl.program_id(0), tl.cdiv(pixels, ROWS), tl.cdiv(count, COLUMNS), 8
    )
    group = tl.program_id(1)
    rows = row_tile * ROWS + tl.arange(0, ROWS)
    columns = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    taps: tl.constexpr = KERNEL_H * KERNEL_W
    w_group = w_ptr + group.to(tl.int64) * count * taps * channels
    y = window_products(
        x_ptr + group * channels, w_group, x_pitch, height, width, height_out, width_out,
        pixels, channels, count, 0, channels, rows, columns,
        KERNEL_H, KERNEL_W, STRIDE_H, STRIDE_W, PADDING_TOP, PADDING_LEFT, DILATION_H, DILATION_W,
        ACCUMULATOR, PRECISION, ROWS, COLUMNS, DEPTH,
    )  # fmt: skip
    o = group * count + columns
    y = finished(y, b_ptr, o, columns < count, RELU, ACCUMULATOR)
    store(y_ptr, y_pitch, y, rows, o, columns, pixels, count)


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
    programs = tile.programs(geometry.pixels_out, geometry.count_of_group)
    arguments = {
        **arguments_of(x, geometry),
        "w_ptr": w,
        "b_ptr": b,
        "y_ptr": y,
        "y_pitch": pitch("y", y),
        "RELU": relu,
        "UNIT": tiles.unit(x.dtype, pitch("x", x), geometry.channels_of_group),
    }
    grid = (programs, geometry.groups)
    return [tile.launch(implicit, grid, arguments, x.dtype, precision)]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch for each tile: the 3x3 convolution of GoogLeNet's 3b at batch 32, and the 5x5
    convolution of 4b, with 24 channels."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, b, y, geometry = example((32, 28, 28, 128), (192, 3, 3, 128), dtype, padding=1)
        (launch,) = launches(x, w, b, y, geometry, relu=True, precision=precision, tile=tile)
        yield f"implicit {label}, 3b", launch
    x, w, b, y, geometry = example((32, 14, 14, 24), (64, 5, 5, 24), dtype, padding=2)
    tile = tiles.choose(product(geometry), TILES[tiles.arithmetic(dtype, "ieee")])
    (launch,) = launches(x, w, b, y, geometry, relu=True, precision="ieee", tile=tile)
    yield f"implicit {tile.rows}x{tile.columns}x{tile.depth}, 4b", launch

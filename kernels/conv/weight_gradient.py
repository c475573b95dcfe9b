"""The gradients of a convolution with respect to its filters and its bias.

    dw[o, r, s, c] = sum over output pixels m of g[m, o] x[pixel(m, r, s), c]
    db[o] = sum over output pixels m of g[m, o]         g = dy, or dy where y > 0

The second form of g includes the gradient of a ReLU.  The rows of the product are filters, the
columns are values of a window, and the depth is pixels: few outputs with long sums.  If there would
be too few programs, the pixels are divided into runs.  Each program adds one run, and a second
launch adds the runs in a fixed order, without atomics, so that the result is the same each time.
The programs of the first columns also compute db, since they load every g.

The columns of a tile belong to one tap, so that a program reads adjacent channels.  For a first
layer with few channels they run over all taps (:mod:`netspec.kernels.conv.packed`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator_dtype, masked
from netspec.kernels.conv import packed, tiles
from netspec.kernels.conv.geometry import Geometry, arguments_of, example
from netspec.kernels.conv.packed import packed_offsets
from netspec.kernels.conv.tiles import Product, ProductTile
from netspec.kernels.launch import MULTIPROCESSORS, Launch, blocks
from netspec.kernels.layout import pitch
from netspec.kernels.sums import sum_of

# --------------------------------------------------------------------------------- configurations

TILES: tiles.Tiles = {
    "half": (
        ProductTile(128, 128, 64, warps=8, stages=3),
        ProductTile(128, 64, 32, warps=8, stages=3),
        ProductTile(64, 64, 64, warps=4, stages=3),
        ProductTile(16, 64, 64, warps=4, stages=4),
    ),
    "tf32": (
        ProductTile(128, 64, 32, warps=8, stages=3),
        ProductTile(64, 64, 32, warps=4, stages=3),
        ProductTile(16, 64, 32, warps=4, stages=3),
    ),
    "ieee": (
        ProductTile(64, 64, 16, warps=8, stages=2),
        ProductTile(32, 32, 16, warps=4, stages=3),
    ),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}
PACKED_TILES: tiles.Tiles = {
    "half": (
        ProductTile(128, 64, 32, warps=8, stages=3),
        ProductTile(64, 64, 32, warps=4, stages=3),
    ),
    "tf32": (ProductTile(64, 64, 16, warps=4, stages=3),),
    "ieee": (ProductTile(64, 64, 16, warps=8, stages=3),),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}


def product(geometry: Geometry) -> Product:
    """Return the product: filters x values of a window, over pixels."""
    taps = prod(geometry.kernel)
    if packed.fits(geometry):
        return Product(geometry.count, geometry.terms, taps=1, depth=geometry.pixels_out)
    return Product(
        rows=geometry.count_of_group,
        columns=geometry.channels_of_group,
        taps=1,
        depth=geometry.pixels_out,
        groups=geometry.groups * taps,
    )


def choose_tile(geometry: Geometry, dtype: torch.dtype, precision: str) -> ProductTile:
    """Return the fastest tile by the model, with enough runs of pixels to fill the GPU twice."""
    gradients = product(geometry)
    known = PACKED_TILES if packed.fits(geometry) else TILES
    tile = tiles.choose(gradients, known[tiles.arithmetic(dtype, precision)])
    programs = tile.programs(gradients.rows, gradients.columns) * gradients.groups
    wanted = min(blocks(2 * MULTIPROCESSORS, programs), blocks(geometry.pixels_out, 4 * tile.depth))
    return replace(tile, splits=max(1, wanted))


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def gradient_of_pixels(
    dy_ptr, y_ptr, dy_pitch, y_pitch, m, o, mask,
):  # fmt: skip
    """Return g as [filters, pixels]."""
    m = m.to(tl.int64)
    g = tl.load(dy_ptr + (m * dy_pitch)[None, :] + o[:, None], mask=mask, other=0.0)
    if y_ptr is not None:
        y = tl.load(y_ptr + (m * y_pitch)[None, :] + o[:, None], mask=mask, other=0.0)
        g = masked(g, y)
    return g


@triton.jit
def weight_gradient(
    dy_ptr, y_ptr, x_ptr, dw_ptr, db_ptr, dy_pitch, y_pitch, x_pitch,
    height, width, height_out, width_out, pixels, channels, count, run,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute one tile of one tap over one run of pixels; grid: tiles x taps, groups, runs.

    dw is [runs, O, kh, kw, C / groups], db [runs, O].
    """
    column_tiles = tl.cdiv(channels, COLUMNS)
    taps: tl.constexpr = KERNEL_H * KERNEL_W
    row_tile, column = tl.program_id(0) // (column_tiles * taps), tl.program_id(0)
    tap = column // column_tiles % taps
    r, s = tap // KERNEL_W, tap % KERNEL_W
    group, split = tl.program_id(1), tl.program_id(2)
    row = row_tile * ROWS + tl.arange(0, ROWS)
    o = group * count + row
    c = column % column_tiles * COLUMNS + tl.arange(0, COLUMNS)
    dw = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    db = tl.zeros((ROWS,), ACCUMULATOR)
    first = split * run
    last = tl.minimum(first + run, pixels)
    for start in range(first, last, DEPTH):
        m = start + tl.arange(0, DEPTH)
        mask = (row < count)[:, None] & (m < last)[None, :]
        g = gradient_of_pixels(dy_ptr, y_ptr, dy_pitch, y_pitch, m, o, mask)
        rest = m // width_out
        h = rest % height_out * STRIDE_H - PADDING_TOP + r * DILATION_H
        v = m % width_out * STRIDE_W - PADDING_LEFT + s * DILATION_W
        is_inside = (m < last) & (h >= 0) & (h < height) & (v >= 0) & (v < width)
        pixel = ((rest // height_out).to(tl.int64) * height + h) * width + v
        x = tl.load(
            x_ptr + (pixel * x_pitch)[:, None] + (group * channels + c)[None, :],
            mask=is_inside[:, None] & (c < channels)[None, :],
            other=0.0,
        )
        dw = tl.dot(g, x, dw, input_precision=PRECISION, out_dtype=ACCUMULATOR)
        db += tl.sum(g.to(ACCUMULATOR), axis=1)
    o += split * (tl.num_programs(1) * count)
    tl.store(
        dw_ptr + o.to(tl.int64)[:, None] * (taps * channels) + (tap * channels + c)[None, :],
        dw.to(dw_ptr.dtype.element_ty),
        mask=(row < count)[:, None] & (c < channels)[None, :],
    )
    if column % (column_tiles * taps) == 0:
        tl.store(db_ptr + o, db.to(db_ptr.dtype.element_ty), mask=row < count)


@triton.jit
def packed_weight_gradient(
    dy_ptr, y_ptr, x_ptr, dw_ptr, db_ptr, dy_pitch, y_pitch, x_pitch,
    height, width, height_out, width_out, pixels, count, run,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr, CHANNELS: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute one tile with columns over all taps, over one run; grid: tiles, 1, runs."""
    terms: tl.constexpr = KERNEL_H * KERNEL_W * CHANNELS
    column_tiles: tl.constexpr = (terms + COLUMNS - 1) // COLUMNS
    column_tile, split = tl.program_id(0) % column_tiles, tl.program_id(2)
    o = tl.program_id(0) // column_tiles * ROWS + tl.arange(0, ROWS)
    k = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    tap_h, tap_v, distance = packed_offsets(
        k, x_pitch, width, KERNEL_W, CHANNELS, DILATION_H, DILATION_W
    )
    dw = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    db = tl.zeros((ROWS,), ACCUMULATOR)
    first = split * run
    last = tl.minimum(first + run, pixels)
    for start in range(first, last, DEPTH):
        m = start + tl.arange(0, DEPTH)
        mask = (o < count)[:, None] & (m < last)[None, :]
        g = gradient_of_pixels(dy_ptr, y_ptr, dy_pitch, y_pitch, m, o, mask)
        rest = m // width_out
        top = rest % height_out * STRIDE_H - PADDING_TOP
        left = m % width_out * STRIDE_W - PADDING_LEFT
        corner = ((rest // height_out).to(tl.int64) * height + top) * width + left
        h = top[:, None] + tap_h[None, :]
        v = left[:, None] + tap_v[None, :]
        is_inside = (h >= 0) & (h < height) & (v >= 0) & (v < width)
        x = tl.load(
            x_ptr + (corner * x_pitch)[:, None] + distance[None, :],
            mask=is_inside & (m < last)[:, None] & (k < terms)[None, :],
            other=0.0,
        )
        dw = tl.dot(g, x, dw, input_precision=PRECISION, out_dtype=ACCUMULATOR)
        db += tl.sum(g.to(ACCUMULATOR), axis=1)
    mask = o < count
    o += split * count
    tl.store(
        dw_ptr + o.to(tl.int64)[:, None] * terms + k[None, :],
        dw.to(dw_ptr.dtype.element_ty),
        mask=mask[:, None] & (k < terms)[None, :],
    )
    if column_tile == 0:
        tl.store(db_ptr + o, db.to(db_ptr.dtype.element_ty), mask=mask)


# --------------------------------------------------------------------------------------- launches


def launches(
    dy: Tensor,
    y: Tensor | None,
    x: Tensor,
    dw: Tensor,
    db: Tensor,
    geometry: Geometry,
    *,
    precision: str,
    tile: ProductTile,
) -> list[Launch]:
    """Return the launch of both gradients, and two launches that add runs if there are several.

    Args:
        dy: gradient of the output, [N, H', W', O].
        y: output of the ReLU whose gradient is included, or None.
        x: input, [N, H, W, C].
        dw: output: the gradient of the filters, [O, kh, kw, C / groups], contiguous.
        db: output: the gradient of the bias, [O].
        geometry: sizes of the forward convolution.
        precision: precision of float32 products.
        tile: tile of a program: rows are filters, columns values of a window, depth pixels;
            splits is the number of runs of pixels.
    """
    runs = tile.splits
    dw_runs, db_runs = dw, db
    if runs > 1:
        kept = accumulator_dtype(x.dtype)
        dw_runs, db_runs = (t.new_empty((runs, *t.shape), dtype=kept) for t in (dw, db))
    arguments = {
        **arguments_of(x, geometry),
        "dy_ptr": dy,
        "y_ptr": y,
        "dw_ptr": dw_runs,
        "db_ptr": db_runs,
        "dy_pitch": pitch("dy", dy),
        "y_pitch": 0 if y is None else pitch("y", y),
        "run": blocks(geometry.pixels_out, tile.depth * runs) * tile.depth,
    }
    gradients = product(geometry)
    programs = tile.programs(gradients.rows, gradients.columns)
    if packed.fits(geometry):
        kernel, grid = packed_weight_gradient, (programs, 1, runs)
        arguments["CHANNELS"] = arguments.pop("channels")
    else:
        kernel, grid = weight_gradient, (programs * prod(geometry.kernel), geometry.groups, runs)
    sums = [] if runs == 1 else [sum_of(dw_runs, dw), sum_of(db_runs, db)]
    return [tile.launch(kernel, grid, arguments, x.dtype, precision), *sums]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch with ReLU for each tile: the 3x3 convolution of GoogLeNet's 3b, and AlexNet's
    first convolution, at batch 32."""
    layers = (
        ("3b", TILES, (32, 28, 28, 128), (192, 3, 3, 128), 1, 1),
        ("C1", PACKED_TILES, (32, 224, 224, 3), (96, 11, 11, 3), 4, 0),
    )
    for layer, known, size, filters, stride, padding in layers:
        for label, precision, tile in tiles.shipped(known, dtype):
            x, w, b, y, geometry = example(size, filters, dtype, stride=stride, padding=padding)
            (launch,) = launches(y, y, x, w, b, geometry, precision=precision, tile=tile)
            yield f"weight gradient {label}, {layer}", launch

"""The forward convolution of small maps: several programs share one sum (split-K).

    p[i, m, o] = the part of the sum over the i-th run of channels
    y[m, o] = act(b[o] + p[0, m, o] + p[1, m, o] + ...)

A 7x7 map at batch 1 has 49 output pixels: too few tiles to fill a GPU, each with a long sum.  The
parts are written to a workspace in the type of the accumulator and added in a fixed order, so the
result is the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator_dtype
from netspec.kernels.conv import tiles
from netspec.kernels.conv.geometry import Geometry, arguments_of, example
from netspec.kernels.conv.implicit import window_products
from netspec.kernels.conv.tiles import Product, ProductTile, place
from netspec.kernels.launch import Launch, blocks
from netspec.kernels.layout import pitch
from netspec.kernels.sums import sum_of

# --------------------------------------------------------------------------------- configurations

TILES: tiles.Tiles = {
    "half": (
        ProductTile(64, 64, 64, warps=4, stages=4),
        ProductTile(64, 32, 64, warps=4, stages=4),
    ),
    "tf32": (
        ProductTile(64, 64, 32, warps=4, stages=3),
        ProductTile(64, 32, 32, warps=4, stages=3),
    ),
    "ieee": (
        ProductTile(64, 32, 16, warps=4, stages=3),
        ProductTile(32, 32, 16, warps=4, stages=3),
    ),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}
SPLITS = (2, 4, 8)


def candidates(product: Product, kind: str) -> list[ProductTile]:
    """Return all tiles worth measuring, with splits that leave each program at least four steps."""
    cut = []
    for tile in TILES[kind]:
        steps = blocks(product.depth, tile.depth)
        cut += [
            replace(tile, splits=splits)
            for splits in SPLITS
            if steps >= splits and steps * product.taps >= 4 * splits
        ]
    return cut


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def parts(
    x_ptr, w_ptr, parts_ptr, x_pitch,
    height, width, height_out, width_out, pixels, channels, count, run,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    UNIT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute a tile of a part of [splits, pixels, groups x count]; grid: tiles, groups, splits."""
    x_pitch = x_pitch // UNIT * UNIT
    channels = channels // UNIT * UNIT
    row_tile, column_tile = place(
        tl.program_id(0), tl.cdiv(pixels, ROWS), tl.cdiv(count, COLUMNS), 8
    )
    group, split = tl.program_id(1), tl.program_id(2)
    rows = row_tile * ROWS + tl.arange(0, ROWS)
    columns = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    taps: tl.constexpr = KERNEL_H * KERNEL_W
    w_group = w_ptr + group.to(tl.int64) * count * taps * channels
    first = split * run
    part = window_products(
        x_ptr + group * channels, w_group, x_pitch, height, width, height_out, width_out,
        pixels, channels, count, first, tl.minimum(first + run, channels), rows, columns,
        KERNEL_H, KERNEL_W, STRIDE_H, STRIDE_W, PADDING_TOP, PADDING_LEFT, DILATION_H, DILATION_W,
        ACCUMULATOR, PRECISION, ROWS, COLUMNS, DEPTH,
    )  # fmt: skip
    row = (split.to(tl.int64) * pixels + rows) * (tl.num_programs(1) * count)
    tl.store(
        parts_ptr + row[:, None] + (group * count + columns)[None, :],
        part,
        mask=(rows < pixels)[:, None] & (columns < count)[None, :],
    )


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
    """Return the two launches of a convolution; operands as for ``conv2d_out``."""
    splits = tile.splits
    workspace = x.new_empty((splits, *geometry.size_out), dtype=accumulator_dtype(x.dtype))
    arguments = {
        **arguments_of(x, geometry),
        "w_ptr": w,
        "parts_ptr": workspace,
        "run": blocks(geometry.channels_of_group, tile.depth * splits) * tile.depth,
        "UNIT": tiles.unit(x.dtype, pitch("x", x), geometry.channels_of_group),
    }
    programs = tile.programs(geometry.pixels_out, geometry.count_of_group)
    grid = (programs, geometry.groups, splits)
    return [
        tile.launch(parts, grid, arguments, x.dtype, precision),
        sum_of(workspace, y, b, relu=relu, pitch=pitch("y", y)),
    ]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch for each tile, with four parts: the 3x3 convolution of GoogLeNet's 5b at
    batch 1."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, b, y, geometry = example((1, 7, 7, 192), (384, 3, 3, 192), dtype, padding=1)
        cut = replace(tile, splits=4)
        launch, _ = launches(x, w, b, y, geometry, relu=True, precision=precision, tile=cut)
        yield f"split {label}, 5b", launch

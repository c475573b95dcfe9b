"""The gradient of a convolution with respect to its input.

    dx[n, h, v, c] = sum over r, s, o of g[n, i, j, o] w[o, r, s, c]
    where  i stride + r dilation - padding = h  (likewise j, s, v),  g = dy, or dy where y > 0

The second form of g includes the gradient of a ReLU.  With a stride, an input row h is used only by
taps r for which h + padding - r dilation is divisible by the stride; these taps depend only on h
modulo the stride.  So a program computes input pixels of one phase (h mod stride, v mod stride):
all its rows have the same taps, and no product is wasted.  Each input pixel is written by one
program, so there are no sums over programs.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import masked
from netspec.kernels.conv import tiles
from netspec.kernels.conv.geometry import Geometry, example
from netspec.kernels.conv.tiles import Product, ProductTile, place
from netspec.kernels.launch import Launch, blocks
from netspec.kernels.layout import pitch

# --------------------------------------------------------------------------------- configurations

TILES: tiles.Tiles = {
    "half": (
        ProductTile(128, 128, 32, warps=8, stages=3),
        ProductTile(128, 64, 64, warps=8, stages=3),
        ProductTile(64, 64, 32, warps=4, stages=3),
        ProductTile(16, 64, 64, warps=4, stages=4),
    ),
    "tf32": (
        ProductTile(128, 64, 32, warps=8, stages=3),
        ProductTile(64, 32, 32, warps=4, stages=3),
        ProductTile(16, 64, 32, warps=4, stages=3),
    ),
    "ieee": (
        ProductTile(64, 64, 16, warps=8, stages=3),
        ProductTile(32, 32, 16, warps=4, stages=3),
    ),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}


def product(geometry: Geometry) -> Product:
    """Return the product of the largest phase: input pixels x channels, over taps and filters."""
    rows = geometry.batch
    taps = 1
    for size, kernel, stride in zip(
        (geometry.height, geometry.width), geometry.kernel, geometry.stride, strict=True
    ):
        rows *= blocks(size, stride)
        taps *= blocks(kernel, stride)
    return Product(
        rows=rows,
        columns=geometry.channels_of_group,
        taps=taps,
        depth=geometry.count_of_group,
        groups=geometry.groups * geometry.stride[0] * geometry.stride[1],
    )


def choose_tile(geometry: Geometry, dtype: torch.dtype, precision: str) -> ProductTile:
    """Return the fastest tile by the model."""
    known = TILES[tiles.arithmetic(dtype, precision)]
    return tiles.choose(product(geometry), known)


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def input_gradient(
    dy_ptr, y_ptr, w_ptr, dx_ptr, dy_pitch, y_pitch, dx_pitch,
    batch, height, width, height_out, width_out, channels, count,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    UNIT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute a tile of one phase of the channels of one group; grid: tiles x groups x phases."""
    # Triton detects only divisibility by 16: this tells it that UNIT divides the values
    dy_pitch = dy_pitch // UNIT * UNIT
    y_pitch = y_pitch // UNIT * UNIT
    dx_pitch = dx_pitch // UNIT * UNIT
    channels = channels // UNIT * UNIT
    count = count // UNIT * UNIT
    phase_h, phase_v = tl.program_id(2) // STRIDE_W, tl.program_id(2) % STRIDE_W
    height_of_phase = (height - phase_h + STRIDE_H - 1) // STRIDE_H
    width_of_phase = (width - phase_v + STRIDE_W - 1) // STRIDE_W
    pixels = batch * height_of_phase * width_of_phase
    row_tile, column_tile = place(
        tl.program_id(0),
        tl.cdiv(batch * tl.cdiv(height, STRIDE_H) * tl.cdiv(width, STRIDE_W), ROWS),
        tl.cdiv(channels, COLUMNS),
        8,
    )
    if row_tile * ROWS >= pixels:
        return  # the grid is for the largest phase; smaller phases have fewer tiles
    group = tl.program_id(1)
    rows = row_tile * ROWS + tl.arange(0, ROWS)
    rest = rows // width_of_phase
    image = (rest // height_of_phase).to(tl.int64)
    a, b = rest % height_of_phase, rows % width_of_phase
    c = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    first = group * count
    terms = KERNEL_H * KERNEL_W * channels
    dx = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for r in range(KERNEL_H):
        shift_h = phase_h + PADDING_TOP - r * DILATION_H
        if shift_h % STRIDE_H == 0:
            i = a + shift_h // STRIDE_H
            for s in range(KERNEL_W):
                shift_v = phase_v + PADDING_LEFT - s * DILATION_W
                if shift_v % STRIDE_W == 0:
                    j = b + shift_v // STRIDE_W
                    is_inside = (rows < pixels) & (i >= 0) & (i < height_out)
                    is_inside = is_inside & (j >= 0) & (j < width_out)
                    pixel = (image * height_out + i) * width_out + j
                    tap = (r * KERNEL_W + s) * channels
                    for start in range(0, count, DEPTH):
                        o = start + tl.arange(0, DEPTH)
                        mask = is_inside[:, None] & (o < count)[None, :]
                        place_of_o = (first + o)[None, :]
                        g = tl.load(
                            dy_ptr + (pixel * dy_pitch)[:, None] + place_of_o, mask=mask, other=0.0
                        )
                        if y_ptr is not None:
                            y = tl.load(
                                y_ptr + (pixel * y_pitch)[:, None] + place_of_o,
                                mask=mask,
                                other=0.0,
                            )
                            g = masked(g, y)
                        w = tl.load(
                            w_ptr + (first + o).to(tl.int64)[:, None] * terms + (tap + c)[None, :],
                            mask=(o < count)[:, None] & (c < channels)[None, :],
                            other=0.0,
                        )
                        dx = tl.dot(g, w, dx, input_precision=PRECISION, out_dtype=ACCUMULATOR)
    pixel = (image * height + a * STRIDE_H + phase_h) * width + b * STRIDE_W + phase_v
    tl.store(
        dx_ptr + (pixel * dx_pitch)[:, None] + (group * channels + c)[None, :],
        dx.to(dx_ptr.dtype.element_ty),
        mask=(rows < pixels)[:, None] & (c < channels)[None, :],
    )


# --------------------------------------------------------------------------------------- launches


def launches(
    dy: Tensor,
    y: Tensor | None,
    w: Tensor,
    dx: Tensor,
    geometry: Geometry,
    *,
    precision: str,
    tile: ProductTile,
) -> list[Launch]:
    """Return the launch of the gradient, in a list.

    Args:
        dy: gradient of the output, [N, H', W', O].
        y: output of the ReLU whose gradient is included, or None.
        w: filters, [O, kh, kw, C / groups].
        dx: output: the gradient of the input, [N, H, W, C].
        geometry: sizes of the forward convolution.
        precision: precision of float32 products.
        tile: tile of a program: rows are input pixels, columns channels, depth filters.
    """
    pitches = {
        "dy_pitch": pitch("dy", dy),
        "y_pitch": 0 if y is None else pitch("y", y),
        "dx_pitch": pitch("dx", dx),
    }
    arguments = {
        "dy_ptr": dy,
        "y_ptr": y,
        "w_ptr": w,
        "dx_ptr": dx,
        **pitches,
        "UNIT": tiles.unit(
            dy.dtype, *pitches.values(), geometry.channels_of_group, geometry.count_of_group
        ),
        "batch": geometry.batch,
        "height": geometry.height,
        "width": geometry.width,
        "height_out": geometry.height_out,
        "width_out": geometry.width_out,
        "channels": geometry.channels_of_group,
        "count": geometry.count_of_group,
        **geometry.constants(),
    }
    of_phase = product(geometry)
    phases = geometry.stride[0] * geometry.stride[1]
    grid = (tile.programs(of_phase.rows, of_phase.columns), geometry.groups, phases)
    return [tile.launch(input_gradient, grid, arguments, dy.dtype, precision)]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch with ReLU for each tile: the 3x3 convolution of GoogLeNet's 3b at batch 32,
    and ZFNet's C2, whose stride is 2."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, _, y, geometry = example((32, 28, 28, 128), (192, 3, 3, 128), dtype, padding=1)
        (launch,) = launches(y, y, w, x, geometry, precision=precision, tile=tile)
        yield f"input gradient {label}, 3b", launch
    x, w, _, y, geometry = example((32, 55, 55, 96), (256, 5, 5, 96), dtype, stride=2)
    tile = choose_tile(geometry, dtype, "ieee")
    (launch,) = launches(y, y, w, x, geometry, precision="ieee", tile=tile)
    yield f"input gradient {tile.rows}x{tile.columns}x{tile.depth}, ZFNet C2", launch

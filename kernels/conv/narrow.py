"""A convolution of few channels for Hopper: a row of a window is one block of memory.

    y[n, i, j, o] = act(b[o] + sum over r, k of rows[n, i s_h + r d_h, (j s_v) P + k] taps[o, r, k])

``rows`` is x with its padding and with P channels, the last of them zeros: 4, or more if windows
would not begin on 16 bytes.  So the kw P values of a window's row are contiguous, with k = s P + c.
A tensor descriptor with the axes (n, i, r, j, k) describes these rows; those of neighbouring pixels
overlap.  The tensor memory accelerator computes the addresses, of which
:mod:`netspec.kernels.conv.packed` computes one for each value.  For AlexNet's 11x11x3 a row has 44
values, 33 of them from x, and a step has 64.

Two other launches first write ``rows`` and ``taps`` to workspaces.  The product is w x^T, as in
:mod:`netspec.kernels.conv.tiled`.

This kernel has not run on a GPU.  CUDA's documentation describes descriptors whose rows do not
overlap; whether a driver accepts these is not known.  So the kernel is used only where a
measurement, which also compares results, found it to be the fastest.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from netspec.kernels.arithmetic import finished
from netspec.kernels.conv import packed, persistent, tiles
from netspec.kernels.conv.geometry import Geometry, example
from netspec.kernels.conv.persistent import ALIGNMENT
from netspec.kernels.conv.tiled import block_of, blocks_of
from netspec.kernels.conv.tiles import ProductTile
from netspec.kernels.launch import Launch, blocks, multiprocessors
from netspec.kernels.layout import pitch

# ---------------------------------------------------------------------------------- configurations

TILES: tiles.Tiles = {
    "half": (
        ProductTile(256, 128, 64, warps=8, stages=3),
        ProductTile(128, 128, 64, warps=8, stages=4),
        ProductTile(256, 64, 64, warps=4, stages=3),
        ProductTile(128, 64, 64, warps=4, stages=4),
        ProductTile(256, 64, 32, warps=4, stages=4),
        ProductTile(128, 64, 32, warps=4, stages=4),
    ),
    "tf32": (ProductTile(128, 64, 32, warps=4, stages=3),),
    "ieee": (ProductTile(64, 64, 16, warps=8, stages=3),),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}
COPIED = 256
"""The pixels, or the values of filters, that a program copies."""


def candidates(geometry: Geometry, kind: str) -> list[ProductTile]:
    """Return the tiles for a convolution that waste the fewest products; none if it cannot be
    computed."""
    if not supports(geometry):
        return []
    itemsize = {"half": 2, "double": 8}.get(kind, 4)
    size = geometry.kernel[1] * channels_of(geometry.stride[1], itemsize)
    least = min(_padded(size, tile) for tile in TILES[kind])
    return [tile for tile in TILES[kind] if _padded(size, tile) == least]


def supports(geometry: Geometry) -> bool:
    """Return True for few channels and one group, if the taps of a row are contiguous."""
    return packed.fits(geometry) and geometry.dilation[1] == 1


def _padded(size: int, tile: ProductTile) -> int:
    return blocks(size, tile.depth) * tile.depth


def fits(x: Tensor, w: Tensor, y: Tensor) -> bool:
    """Return True if descriptors support y [N, H', W', O]; x and w are copied."""
    return persistent.has_descriptors(x.device) and persistent.is_aligned("y", y)


def channels_of(stride: int, itemsize: int) -> int:
    """Return the channels P of ``rows``: windows must begin at a multiple of 16 bytes."""
    channels = packed.MOST_CHANNELS
    while channels * stride * itemsize % ALIGNMENT:
        channels *= 2
    return channels


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def spread_pixels(
    x_ptr, rows_ptr, x_pitch, height, width, rows_height, rows_width, pixels,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    CHANNELS: tl.constexpr, PITCH: tl.constexpr, COPIED: tl.constexpr,
):  # fmt: skip
    """Copy pixels of x to [N, H, W, PITCH], with zeros around the images and after the channels."""
    pixel = tl.program_id(0).to(tl.int64) * COPIED + tl.arange(0, COPIED)
    v = pixel % rows_width - PADDING_LEFT
    h = pixel // rows_width % rows_height - PADDING_TOP
    n = pixel // (rows_width * rows_height)
    c = tl.arange(0, PITCH)
    is_inside = (h >= 0) & (h < height) & (v >= 0) & (v < width) & (pixel < pixels)
    x = tl.load(
        x_ptr + (((n * height + h) * width + v) * x_pitch)[:, None] + c[None, :],
        mask=is_inside[:, None] & (c < CHANNELS)[None, :],
        other=0.0,
    )
    place = pixel[:, None] * PITCH + c[None, :]
    tl.store(rows_ptr + place, x, mask=(pixel < pixels)[:, None])


@triton.jit
def spread_filters(
    w_ptr, taps_ptr, values,
    KERNEL_W: tl.constexpr, CHANNELS: tl.constexpr, PITCH: tl.constexpr,
    LENGTH: tl.constexpr, COPIED: tl.constexpr,
):  # fmt: skip
    """Copy the rows of filters to rows of LENGTH values, with zeros where x has no channel."""
    place = tl.program_id(0) * COPIED + tl.arange(0, COPIED)
    k = place % LENGTH
    v, c = k // PITCH, k % PITCH
    w = tl.load(
        w_ptr + (place // LENGTH * KERNEL_W + v) * CHANNELS + c,
        mask=(place < values) & (v < KERNEL_W) & (c < CHANNELS),
        other=0.0,
    )
    tl.store(taps_ptr + place, w, mask=place < values)


@triton.jit
def narrow(
    x_rows, w_rows, y_blocks, b_ptr, row_blocks, column_blocks, pixel_blocks, count,
    KERNEL_H: tl.constexpr, STEPS: tl.constexpr,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute every n-th tile of the outputs, for n programs; ``_blocks``, ``_rows``: descriptors.

    A row of a window is read in STEPS steps; values after its end are zeros.
    """
    filter_tiles = tl.cdiv(count, COLUMNS)
    for tile in tl.range(
        tl.program_id(0), pixel_blocks * filter_tiles, tl.num_programs(0), flatten=False
    ):
        block, column = tile // filter_tiles, tile % filter_tiles * COLUMNS
        left = block % column_blocks * BLOCK_W
        top = block // column_blocks % row_blocks * BLOCK_H
        image = block // (column_blocks * row_blocks)
        y = tl.zeros((COLUMNS, ROWS), ACCUMULATOR)
        for step in range(0, KERNEL_H * STEPS):
            x = x_rows.load([image, top, step // STEPS, left, step % STEPS * DEPTH])
            w = w_rows.load([column, step * DEPTH])
            y = tl.dot(
                w, x.reshape(ROWS, DEPTH).T, y, input_precision=PRECISION, out_dtype=ACCUMULATOR
            )
        o = column + tl.arange(0, COLUMNS)
        z = finished(y.T, b_ptr, o, o < count, RELU, ACCUMULATOR)
        z = z.to(y_blocks.dtype).reshape(1, BLOCK_H, BLOCK_W, COLUMNS)
        y_blocks.store([image, top, left, column], z)


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
    programs: int | None = None,
) -> list[Launch]:
    """Return the three launches of a convolution; an empty list if a tensor is empty.

    Operands are those of ``conv2d_out``; ``programs`` is the maximum number of programs of the
    product, by default the number of multiprocessors.

    Raises:
        ValueError: if it has dilated columns, groups or too many channels, or :func:`fits` is
            False.
    """
    if not supports(geometry):
        raise ValueError(
            f"the kernel needs one group, up to {packed.MOST_CHANNELS} channels and no dilation of "
            f"columns, not {geometry.groups} groups, {geometry.channels} channels, dilation "
            f"{geometry.dilation}"
        )
    if not fits(x, w, y):
        raise ValueError(
            "tensor descriptors need a GPU of capability 9.0 and rows that begin on 16 bytes; y "
            f"has rows of {y.shape[3]} {y.dtype} elements"
        )
    if geometry.pixels_out == 0:
        return []
    (kernel_h, kernel_w), (stride_h, stride_w) = geometry.kernel, geometry.stride
    _, height_out, width_out, _ = geometry.size_out
    channels = channels_of(stride_w, x.element_size())
    height = (height_out - 1) * stride_h + geometry.extent(0)
    width = (width_out - 1) * stride_w + kernel_w
    while width * channels * x.element_size() % ALIGNMENT:
        width += 1
    length = _padded(kernel_w * channels, tile)
    rows = x.new_empty(geometry.batch, height, width, channels)
    taps = w.new_empty(geometry.count, kernel_h, length)
    block = block_of(tile.rows, height_out, width_out)
    row_blocks, column_blocks = blocks(height_out, block[0]), blocks(width_out, block[1])
    pixel_blocks = geometry.batch * row_blocks * column_blocks
    row = width * channels
    of_rows = TensorDescriptor(
        rows,
        [geometry.batch, height_out, kernel_h, width_out, kernel_w * channels],
        [height * row, stride_h * row, geometry.dilation[0] * row, stride_w * channels, 1],
        [1, block[0], 1, block[1], tile.depth],
    )
    terms = kernel_h * length
    arguments: dict[str, object] = {
        "x_rows": of_rows,
        "w_rows": TensorDescriptor(
            taps, [geometry.count, terms], [terms, 1], [tile.columns, tile.depth]
        ),
        "y_blocks": blocks_of("y", y, block, tile.columns),
        "b_ptr": b,
        "row_blocks": row_blocks,
        "column_blocks": column_blocks,
        "pixel_blocks": pixel_blocks,
        "count": geometry.count,
        "KERNEL_H": kernel_h,
        "STEPS": length // tile.depth,
        "RELU": relu,
        "BLOCK_H": block[0],
        "BLOCK_W": block[1],
    }
    tile_count = pixel_blocks * blocks(geometry.count, tile.columns)
    grid = (min(tile_count, programs or multiprocessors(x.device)),)
    return [
        _spread_pixels(x, rows, geometry),
        _spread_filters(w, taps, channels),
        tile.launch(narrow, grid, arguments, x.dtype, precision),
    ]


def _spread_pixels(x: Tensor, rows: Tensor, geometry: Geometry) -> Launch:
    batch, height, width, channels = rows.shape
    constants = geometry.constants()
    arguments = {
        "x_ptr": x,
        "rows_ptr": rows,
        "x_pitch": pitch("x", x),
        "height": geometry.height,
        "width": geometry.width,
        "rows_height": height,
        "rows_width": width,
        "pixels": batch * height * width,
        "PADDING_TOP": constants["PADDING_TOP"],
        "PADDING_LEFT": constants["PADDING_LEFT"],
        "CHANNELS": geometry.channels,
        "PITCH": channels,
        "COPIED": COPIED,
    }
    return Launch(spread_pixels, (blocks(batch * height * width, COPIED),), arguments, 4, 1)


def _spread_filters(w: Tensor, taps: Tensor, pitch: int) -> Launch:
    arguments = {
        "w_ptr": w,
        "taps_ptr": taps,
        "values": taps.numel(),
        "KERNEL_W": w.shape[2],
        "CHANNELS": w.shape[3],
        "PITCH": pitch,
        "LENGTH": taps.shape[2],
        "COPIED": COPIED,
    }
    return Launch(spread_filters, (blocks(taps.numel(), COPIED),), arguments, 4, 1)


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the launches for AlexNet's first convolution at batch 32: of each tile the product,
    then the copies of pixels and of filters."""
    copies: list[Launch] = []
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, b, y, geometry = example((32, 224, 224, 3), (96, 11, 11, 3), dtype, stride=4)
        *copies, product = launches(x, w, b, y, geometry, relu=True, precision=precision, tile=tile)
        yield f"narrow {label}, C1", product
    for launch, name in zip(copies, ("pixels", "filters"), strict=True):
        yield f"spread {name}, C1", launch

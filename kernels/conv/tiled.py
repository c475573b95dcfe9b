"""A convolution of stride 1 for Hopper: tiles of pixels, moved by tensor descriptors.

    y[n, i, j, o] = act(b[o] + sum over r, s, c of x[n, i + r d_h - p_top, j + s d_v - p_left, c]
                    w[o, r, s, c])

A program computes blocks of an image's pixels.  For each tap and each step of channels, the tensor
memory accelerator loads the block of x that lies below the tap; it computes the addresses and fills
with zeros beyond the edges of the image.  So there is one loop over taps and channels, without
masks, whose pipeline is not filled again at every tap as in :mod:`netspec.kernels.conv.implicit`.
There are at most as many programs as multiprocessors.

The product is computed as w x^T, with filters as rows: then the tensor cores read both operands
from shared memory.

This kernel has not run on a GPU.  It is used only where a measurement found it to be the fastest.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from netspec.kernels.arithmetic import finished
from netspec.kernels.conv import persistent, tiles
from netspec.kernels.conv.geometry import Geometry, example
from netspec.kernels.conv.tiles import ProductTile
from netspec.kernels.launch import Launch, blocks, multiprocessors
from netspec.kernels.layout import pitch

# ---------------------------------------------------------------------------------- configurations

TILES: tiles.Tiles = {
    "half": (
        ProductTile(256, 128, 64, warps=8, stages=3),
        ProductTile(128, 128, 64, warps=8, stages=4),
        ProductTile(256, 64, 64, warps=4, stages=4),
        ProductTile(128, 64, 64, warps=4, stages=4),
        ProductTile(128, 64, 32, warps=4, stages=4),
    ),
    "tf32": (ProductTile(128, 64, 32, warps=4, stages=3),),
    "ieee": (ProductTile(64, 64, 16, warps=8, stages=3),),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}

BOX = 256
"""The largest extent of a block along an axis that a descriptor supports."""


def candidates(geometry: Geometry, kind: str) -> list[ProductTile]:
    """Return the tiles for a convolution; none if this kernel cannot compute it.

    The depth of a tile must divide the channels: otherwise the last step of a tap would read the
    weights of the next tap.  They would be multiplied by zeros, but 0 times infinity is NaN.
    """
    if geometry.stride != (1, 1) or geometry.groups > 1 or geometry.is_pointwise:
        return []
    return [tile for tile in TILES[kind] if geometry.channels % tile.depth == 0]


def block_of(rows: int, height: int, width: int) -> tuple[int, int]:
    """Return the height and width of blocks of ``rows`` pixels, of which the fewest cover an image.

    ``rows`` is a power of two.  Of several the squarest is returned.
    """
    shapes = [(rows >> i, 1 << i) for i in range(rows.bit_length())]
    return min(
        (shape for shape in shapes if max(shape) <= BOX),
        key=lambda s: (blocks(height, s[0]) * blocks(width, s[1]), max(s)),
    )


fits = persistent.fits
"""Return True if descriptors support x [N, H, W, C], w [O, kh, kw, C] and y [N, H', W', O]."""

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def tiled(
    x_blocks, w_rows, y_blocks, b_ptr, row_blocks, column_blocks, pixel_blocks, channels, count,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    PADDING_TOP: tl.constexpr, PADDING_LEFT: tl.constexpr,
    DILATION_H: tl.constexpr, DILATION_W: tl.constexpr,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute every n-th tile of the outputs, for n programs; ``_blocks``, ``_rows``: descriptors.

    ``row_blocks`` x ``column_blocks`` blocks cover an image, ``pixel_blocks`` all images.
    """
    filter_tiles = tl.cdiv(count, COLUMNS)
    steps = channels // DEPTH
    for tile in tl.range(
        tl.program_id(0), pixel_blocks * filter_tiles, tl.num_programs(0), flatten=False
    ):
        block, column = tile // filter_tiles, tile % filter_tiles * COLUMNS
        left = block % column_blocks * BLOCK_W
        top = block // column_blocks % row_blocks * BLOCK_H
        image = block // (column_blocks * row_blocks)
        y = tl.zeros((COLUMNS, ROWS), ACCUMULATOR)
        for step in range(0, KERNEL_H * KERNEL_W * steps):
            tap, c = step // steps, step % steps * DEPTH
            i = top + tap // KERNEL_W * DILATION_H - PADDING_TOP
            j = left + tap % KERNEL_W * DILATION_W - PADDING_LEFT
            x = x_blocks.load([image, i, j, c]).reshape(ROWS, DEPTH)
            w = w_rows.load([column, tap * channels + c])
            y = tl.dot(w, x.T, y, input_precision=PRECISION, out_dtype=ACCUMULATOR)
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
    """Return the launch of a convolution, in a list; an empty list if a tensor is empty.

    Operands are those of ``conv2d_out``; ``programs`` is the maximum number of programs, by default
    the number of multiprocessors.

    Raises:
        ValueError: if :func:`fits` is False, or the tile is not one of :func:`candidates`.
    """
    if geometry.stride != (1, 1) or geometry.groups > 1 or geometry.channels % tile.depth:
        raise ValueError(
            f"the kernel needs stride 1, one group and channels that {tile.depth} divides, not "
            f"stride {geometry.stride}, {geometry.groups} groups, {geometry.channels} channels"
        )
    if not fits(x, w, y):
        raise ValueError(
            "tensor descriptors need a GPU of capability 9.0 and rows that begin on 16 bytes; x, "
            f"w, y have rows of {x.shape[3]}, {w.shape[3]}, {y.shape[3]} {x.dtype} elements"
        )
    if geometry.pixels_out == 0:
        return []
    _, height, width, _ = geometry.size_out
    block = block_of(tile.rows, height, width)
    row_blocks, column_blocks = blocks(height, block[0]), blocks(width, block[1])
    pixel_blocks = geometry.batch * row_blocks * column_blocks
    terms = geometry.terms
    constants = geometry.constants()
    arguments: dict[str, object] = {
        "x_blocks": blocks_of("x", x, block, tile.depth),
        "w_rows": TensorDescriptor(w, [len(w), terms], [terms, 1], [tile.columns, tile.depth]),
        "y_blocks": blocks_of("y", y, block, tile.columns),
        "b_ptr": b,
        "row_blocks": row_blocks,
        "column_blocks": column_blocks,
        "pixel_blocks": pixel_blocks,
        "channels": geometry.channels,
        "count": geometry.count,
        "RELU": relu,
        "BLOCK_H": block[0],
        "BLOCK_W": block[1],
        **{name: constants[name] for name in CONSTANTS},
    }
    count = pixel_blocks * blocks(geometry.count, tile.columns)
    grid = (min(count, programs or multiprocessors(x.device)),)
    return [tile.launch(tiled, grid, arguments, x.dtype, precision)]


CONSTANTS = (
    "KERNEL_H",
    "KERNEL_W",
    "PADDING_TOP",
    "PADDING_LEFT",
    "DILATION_H",
    "DILATION_W",
)


def blocks_of(name: str, x: Tensor, block: tuple[int, int], channels: int) -> TensorDescriptor:
    """Return a descriptor of a map for blocks of one image."""
    _, height, width, _ = x.shape
    step = pitch(name, x)
    strides = [height * width * step, width * step, step, 1]
    return TensorDescriptor(x, list(x.shape), strides, [1, *block, channels])


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch for each tile: a 3x3 convolution of VGG16's third stage at batch 32."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x, w, b, y, geometry = example((32, 56, 56, 256), (256, 3, 3, 256), dtype, padding=1)
        (launch,) = launches(x, w, b, y, geometry, relu=True, precision=precision, tile=tile)
        yield f"tiled {label}, C32", launch

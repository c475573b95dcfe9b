"""1x1 convolutions of stride 1 as one matrix product, with several siblings in one launch.

    y[m, o] = act(b[o] + sum over c of x[m, c] w[o, c])

The rows m are the pixels of x [N, H, W, C] and the columns o are the filters of w [O, 1, 1, C].  Up
to four convolutions with the same x (siblings) are one product: their filters are concatenated in
w, and each writes its own map, or a slice of the channels of a larger map.  Each sibling has its
own column tiles, so that a tile never covers two siblings.

An output takes 2 C operations.  One launch reads x and w and writes every y once: C + O elements
per pixel, compared with S C + O for S launches.  x is read again for each column tile, but from the
L2 cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import finished
from netspec.kernels.conv import tiles
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.conv.tiles import Product, ProductTile, place, store
from netspec.kernels.launch import Launch, blocks
from netspec.kernels.layout import pitch

SIBLINGS = 4
"""Maximum number of convolutions in one launch."""

# ---------------------------------------------------------------------------------- configurations


TILES: tiles.Tiles = {
    "half": (
        ProductTile(128, 128, 64, warps=8, stages=3),
        ProductTile(128, 64, 64, warps=4, stages=3),
        ProductTile(64, 64, 64, warps=4, stages=4),
        ProductTile(64, 32, 64, warps=4, stages=4),
        ProductTile(16, 64, 64, warps=4, stages=4),
    ),
    "tf32": (
        ProductTile(128, 64, 32, warps=8, stages=3),
        ProductTile(64, 64, 16, warps=4, stages=3),
        ProductTile(16, 32, 32, warps=2, stages=3),
    ),
    "ieee": (
        ProductTile(64, 64, 16, warps=4, stages=3),
        ProductTile(16, 32, 32, warps=2, stages=3),
    ),
    "double": (ProductTile(16, 16, 16, warps=4, stages=2),),
}


def choose(
    pixels: int, counts: Sequence[int], channels: int, dtype: torch.dtype, precision: str
) -> ProductTile:
    """Return the fastest tile by the model; column tiles of each sibling round up."""

    def cost(tile: ProductTile) -> float:
        columns = sum(blocks(count, tile.columns) * tile.columns for count in counts)
        return tiles.estimate(Product(pixels, columns, taps=1, depth=channels), tile)

    return min(TILES[tiles.arithmetic(dtype, precision)], key=cost)


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def products(
    x_ptr, w_ptr, x_pitch, pixels, channels, count, rows, columns,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Return sums over all channels, [ROWS, COLUMNS]; rows beyond the edges repeat the last row."""
    c = tl.arange(0, DEPTH)
    x_at = tl.minimum(rows, pixels - 1).to(tl.int64)[:, None] * x_pitch + c[None, :]
    w_at = tl.minimum(columns, count - 1).to(tl.int64)[None, :] * channels + c[:, None]
    total = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for start in range(0, channels, DEPTH):
        is_there = c < channels - start
        x = tl.load(x_ptr + (start + x_at), mask=is_there[None, :], other=0.0)
        w = tl.load(w_ptr + (start + w_at), mask=is_there[:, None], other=0.0)
        total = tl.dot(x, w, total, input_precision=PRECISION, out_dtype=ACCUMULATOR)
    return total


@triton.jit
def write(y_ptr, y_pitch, y, rows, columns, pixels, count, is_its):
    """Write a tile to the map of a sibling, if the sibling exists and the tile belongs to it."""
    if y_ptr is not None:  # noqa: SIM102 (decided by the compiler, unlike what follows)
        if is_its:
            store(y_ptr, y_pitch, y, rows, columns, columns, pixels, count)


@triton.jit
def pointwise(
    x_ptr, w_ptr, b_ptr, y_0_ptr, y_1_ptr, y_2_ptr, y_3_ptr,
    x_pitch, y_0_pitch, y_1_pitch, y_2_pitch, y_3_pitch,
    count_0, count_1, count_2, count_3, pixels, channels,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Compute one tile of the outputs of one sibling; missing siblings have 0 filters."""
    end_0 = tl.cdiv(count_0, COLUMNS)
    end_1 = end_0 + tl.cdiv(count_1, COLUMNS)
    end_2 = end_1 + tl.cdiv(count_2, COLUMNS)
    end_3 = end_2 + tl.cdiv(count_3, COLUMNS)
    row_tile, column_tile = place(tl.program_id(0), tl.cdiv(pixels, ROWS), end_3, 8)
    begin, first, count = 0, 0, count_0  # of the sibling: its first tile, first filter, filters
    if y_1_ptr is not None:
        begin = tl.where(column_tile >= end_0, end_0, begin)
        first = tl.where(column_tile >= end_0, count_0, first)
        count = tl.where(column_tile >= end_0, count_1, count)
    if y_2_ptr is not None:
        begin = tl.where(column_tile >= end_1, end_1, begin)
        first = tl.where(column_tile >= end_1, count_0 + count_1, first)
        count = tl.where(column_tile >= end_1, count_2, count)
    if y_3_ptr is not None:
        begin = tl.where(column_tile >= end_2, end_2, begin)
        first = tl.where(column_tile >= end_2, count_0 + count_1 + count_2, first)
        count = tl.where(column_tile >= end_2, count_3, count)
    rows = row_tile * ROWS + tl.arange(0, ROWS)
    columns = (column_tile - begin) * COLUMNS + tl.arange(0, COLUMNS)
    w_sibling = w_ptr + tl.cast(first, tl.int64) * channels
    y = products(
        x_ptr, w_sibling, x_pitch, pixels, channels, count, rows, columns,
        ACCUMULATOR, PRECISION, ROWS, COLUMNS, DEPTH,
    )  # fmt: skip
    y = finished(y, b_ptr, first + columns, columns < count, RELU, ACCUMULATOR)
    write(y_0_ptr, y_0_pitch, y, rows, columns, pixels, count, begin == 0)
    write(y_1_ptr, y_1_pitch, y, rows, columns, pixels, count, begin == end_0)
    write(y_2_ptr, y_2_pitch, y, rows, columns, pixels, count, begin == end_1)
    write(y_3_ptr, y_3_pitch, y, rows, columns, pixels, count, begin == end_2)


# --------------------------------------------------------------------------------------- launches


def sibling_launches(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    ys: Sequence[Tensor],
    *,
    relu: bool,
    precision: str,
    tile: ProductTile,
) -> list[Launch]:
    """Return the launch of all siblings, in a list; operands as for ``conv1x1_siblings_out``."""
    counts = [y.shape[3] for y in ys]
    pixels, channels = x.shape[:3].numel(), x.shape[3]
    arguments: dict[str, object] = {
        "x_ptr": x,
        "w_ptr": w,
        "b_ptr": b,
        "x_pitch": pitch("x", x),
        "pixels": pixels,
        "channels": channels,
        "RELU": relu,
    }
    for i in range(SIBLINGS):
        is_there = i < len(ys)
        arguments |= {
            f"y_{i}_ptr": ys[i] if is_there else None,
            f"y_{i}_pitch": pitch(f"ys[{i}]", ys[i]) if is_there else 0,
            f"count_{i}": counts[i] if is_there else 0,
        }
    columns = sum(blocks(count, tile.columns) for count in counts)
    grid = (blocks(pixels, tile.rows) * columns,)
    return [tile.launch(pointwise, grid, arguments, x.dtype, precision)]


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
    """Return the launch of one convolution, in a list; operands as for ``conv2d_out``."""
    return sibling_launches(x, w, b, [y], relu=relu, precision=precision, tile=tile)


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield a launch for each tile: the three siblings of GoogLeNet's 3a at batch 32."""
    for label, precision, tile in tiles.shipped(TILES, dtype):
        x = torch.empty(32, 28, 28, 192, dtype=dtype, device="meta")
        w, b = x.new_empty(176, 1, 1, 192), x.new_empty(176)
        ys = [x.new_empty(32, 28, 28, count) for count in (64, 96, 16)]
        (launch,) = sibling_launches(x, w, b, ys, relu=True, precision=precision, tile=tile)
        yield f"pointwise {label}, 3a", launch

"""1x1 convolutions of stride 1 as a matrix product over pixels, siblings in one launch.

    y[m, o] = act(b[o] + sum over c of x[m, c] w[o, c])

The rows m are the pixels of x [N, H, W, C], the columns o the filters of w [O, 1, 1, C].  Up to
four convolutions that read one x are one product: their filters stand one after the other in w,
and each writes a map of its own, or its slice of the channels of a larger one.  Every sibling is
cut into column tiles by itself, so that no tile straddles two of them.

An output takes 2 C operations.  One launch reads x and w and writes every y once: C + O elements a
pixel, where a launch for each of S siblings would read S C + O; x is read again for each column
tile, from the L2 cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import PRECISIONS, accumulator, check_precision, relu
from netspec.kernels.conv.geometry import Geometry, geometry
from netspec.kernels.conv.tiles import Tile, candidates, estimate, place
from netspec.kernels.launch import Launch, blocks, run
from netspec.kernels.layout import check, check_kind, pitch

SIBLINGS = 4
"""Convolutions that one launch computes, at most."""

# ---------------------------------------------------------------------------------- configurations


def tiles(pixels: int, counts: Sequence[int], channels: int, dtype: torch.dtype) -> list[Tile]:
    """The tiles worth measuring, the one that the model of ``tiles.py`` finds fastest first.

    The model is asked for as many filters as the column tiles of the siblings cover.  Tall tiles of
    float32 go 16 deep: products in full precision spill registers at 32.
    """

    def covered(tile: Tile) -> int:
        return sum(blocks(count, tile.columns) * tile.columns for count in counts)

    product = Geometry(pixels, 1, 1, channels, sum(counts), kernel=(1, 1))
    found = [
        replace(tile, depth=16) if dtype == torch.float32 and tile.rows >= 64 else tile
        for tile in candidates(product, dtype)
        if tile.splits == 1
    ]
    return sorted(found, key=lambda tile: estimate(replace(product, count=covered(tile)), tile))


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def products(
    x_ptr, w_ptr, x_pitch, pixels, channels, count, rows, columns,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Sums over all channels: [ROWS, COLUMNS]; what lies beyond the edges repeats the last row."""
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
    """A tile into its map, where there is such a map and the tile is its."""
    if y_ptr is not None:  # noqa: SIM102 (decided by the compiler, unlike what follows)
        if is_its:
            tl.store(
                y_ptr + rows.to(tl.int64)[:, None] * y_pitch + columns[None, :],
                y.to(y_ptr.dtype.element_ty),
                mask=(rows < pixels)[:, None] & (columns < count)[None, :],
            )


@triton.jit
def pointwise(
    x_ptr, w_ptr, b_ptr, y_0_ptr, y_1_ptr, y_2_ptr, y_3_ptr,
    x_pitch, y_0_pitch, y_1_pitch, y_2_pitch, y_3_pitch,
    count_0, count_1, count_2, count_3, pixels, channels,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """One tile of one sibling's outputs; siblings that are not there have no filters."""
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
    if b_ptr is not None:
        b = tl.load(b_ptr + first + columns, mask=columns < count, other=0.0)
        y += b.to(ACCUMULATOR)[None, :]
    if RELU:
        y = relu(y)
    write(y_0_ptr, y_0_pitch, y, rows, columns, pixels, count, begin == 0)
    write(y_1_ptr, y_1_pitch, y, rows, columns, pixels, count, begin == end_0)
    write(y_2_ptr, y_2_pitch, y, rows, columns, pixels, count, begin == end_1)
    write(y_3_ptr, y_3_pitch, y, rows, columns, pixels, count, begin == end_2)


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    ys: Sequence[Tensor],
    counts: Sequence[int],
    *,
    relu: bool,
    precision: str,
    tile: Tile,
) -> list[Launch]:
    """Every sibling as one launch; operands as those of :func:`conv1x1_siblings_out`."""
    pixels, channels = x.shape[:3].numel(), x.shape[3]
    arguments: dict[str, object] = {
        "x_ptr": x,
        "w_ptr": w,
        "b_ptr": b,
        "x_pitch": pitch("x", x),
        "pixels": pixels,
        "channels": channels,
        "RELU": relu,
        "ACCUMULATOR": accumulator(x.dtype),
        "PRECISION": precision,
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "DEPTH": tile.depth,
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
    return [Launch(pointwise, grid, arguments, tile.warps, tile.stages)]


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Siblings of GoogLeNet's modules 3a, 4e and 5b, and lone layers, at batch 32 and 1."""
    layers = (
        (32, 28, 192, (64, 96, 16)),
        (32, 14, 528, (256, 160, 32)),
        (32, 7, 832, (384, 192, 48)),
        (32, 56, 64, (64,)),
        (1, 7, 832, (384, 192, 48)),
    )
    for batch, size, channels, counts in layers:
        x = torch.empty(batch, size, size, channels, dtype=dtype, device="meta")
        w = x.new_empty(sum(counts), 1, 1, channels)
        b = x.new_empty(sum(counts))
        ys = [x.new_empty(batch, size, size, count) for count in counts]
        tile = tiles(batch * size * size, counts, channels, dtype)[0]
        label = f"1x1 {size}x{size}x{channels} to {' + '.join(map(str, counts))}, batch {batch}"
        for precision in PRECISIONS if dtype == torch.float32 else PRECISIONS[:1]:
            found = launches(x, w, b, ys, counts, relu=True, precision=precision, tile=tile)
            yield f"{label}, {precision}", found[0]


# -------------------------------------------------------------------------------------- operators


def _checked(
    x: Tensor, w: Tensor, b: Tensor | None, counts: Sequence[int], precision: str
) -> Geometry:
    """Refuse what does not fit together, as :func:`conv1x1_siblings` says."""
    check_precision(precision)
    found = geometry(x, w, [1, 1], [0, 0, 0, 0], [1, 1], 1)
    if found.kernel != (1, 1):
        raise ValueError(f"w must be [O, 1, 1, C], and is {list(w.shape)}")
    if b is not None:
        check("b", b, (found.count,), like=x)
    if not 1 <= len(counts) <= SIBLINGS or min(counts) < 1 or sum(counts) != found.count:
        raise ValueError(
            f"counts must be 1 to {SIBLINGS} numbers of filters that sum to the {found.count} of "
            f"w, and are {list(counts)}"
        )
    return found


def _write(
    x: Tensor, w: Tensor, b: Tensor | None, ys: Sequence[Tensor], precision: str, *, relu: bool
) -> None:
    counts = [y.shape[3] if y.dim() == 4 else 0 for y in ys]
    for i, y in enumerate(ys):
        pitch(f"ys[{i}]", y)
        check_kind(f"ys[{i}]", y, x)
    found = _checked(x, w, b, counts, precision)
    for i, y in enumerate(ys):
        if y.shape[:3] != x.shape[:3]:
            raise ValueError(
                f"ys[{i}] must have the pixels of x {list(x.shape)}, and is {list(y.shape)}"
            )
    tile = tiles(found.pixels_out, counts, found.channels, x.dtype)[0]
    run(launches(x, w, b, ys, counts, relu=relu, precision=precision, tile=tile))


def _made(
    x: Tensor, w: Tensor, b: Tensor | None, counts: Sequence[int], precision: str, *, relu: bool
) -> list[Tensor]:
    _checked(x, w, b, counts, precision)
    ys = _empty(x, w, b, counts, precision)
    _write(x, w, b, ys, precision, relu=relu)
    return ys


def _empty(
    x: Tensor, w: Tensor, b: Tensor | None, counts: Sequence[int], precision: str = "ieee"
) -> list[Tensor]:
    return [x.new_empty(x.shape[0], x.shape[1], x.shape[2], count) for count in counts]


@torch.library.custom_op("netspec::conv1x1_siblings", mutates_args=())
def conv1x1_siblings(
    x: Tensor, w: Tensor, b: Tensor | None, counts: list[int], precision: str = "ieee"
) -> list[Tensor]:
    """y_i[m, o] = b_i[o] + sum over c of x[m, c] w_i[o, c], for up to four siblings i at once.

    Args:
        x: [N, H, W, C], contiguous or a slice of channels.
        w: [O, 1, 1, C], contiguous: the filters of the first sibling, then those of the second.
        b: [O], or None.
        counts: filters of each sibling; they sum to O.
        precision: "ieee", or "tf32" for float32 products on tensor cores.

    Returns:
        One [N, H, W, count] a sibling.

    Raises:
        ValueError: sizes do not fit each other, or a layout is no channels-last one.
        TypeError: types or devices differ, or are none that the kernels run on.
    """
    return _made(x, w, b, counts, precision, relu=False)


@torch.library.custom_op("netspec::conv1x1_siblings_relu", mutates_args=())
def conv1x1_siblings_relu(
    x: Tensor, w: Tensor, b: Tensor | None, counts: list[int], precision: str = "ieee"
) -> list[Tensor]:
    """max(y_i, 0) with the y_i of :func:`conv1x1_siblings`; NaN stays NaN."""
    return _made(x, w, b, counts, precision, relu=True)


@torch.library.custom_op("netspec::conv1x1_siblings_out", mutates_args={"ys"})
def conv1x1_siblings_out(
    x: Tensor, w: Tensor, b: Tensor | None, ys: list[Tensor], precision: str = "ieee"
) -> None:
    """:func:`conv1x1_siblings` into ``ys``, whose channels are the counts.

    Each of them is [N, H, W, count], contiguous or a slice of the channels of a larger map, so that
    a concatenation moves nothing.
    """
    _write(x, w, b, ys, precision, relu=False)


@torch.library.custom_op("netspec::conv1x1_siblings_relu_out", mutates_args={"ys"})
def conv1x1_siblings_relu_out(
    x: Tensor, w: Tensor, b: Tensor | None, ys: list[Tensor], precision: str = "ieee"
) -> None:
    """:func:`conv1x1_siblings_relu` into ``ys``, as :func:`conv1x1_siblings_out` does."""
    _write(x, w, b, ys, precision, relu=True)


def _nothing(
    x: Tensor, w: Tensor, b: Tensor | None, ys: list[Tensor], precision: str = "ieee"
) -> None:
    return None


conv1x1_siblings.register_fake(_empty)
conv1x1_siblings_relu.register_fake(_empty)
conv1x1_siblings_out.register_fake(_nothing)
conv1x1_siblings_relu_out.register_fake(_nothing)

# No gradient is registered: those of the siblings' convolutions are what is wanted here (dx their
# sum, dw and db joined along O), and PyTorch refuses to differentiate until somebody does so.

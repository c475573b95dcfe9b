"""Gradients of a fully connected layer.

    dx[n, i] = sum over o of g[n, o] w[o, i]
    dw[o, i] = sum over n of g[n, o] x[n, i]
    db[o] = sum over n of g[n, o]

with g = dy, or, behind a ReLU whose output is y, g = dy where y > 0 and 0 elsewhere; x [N, K],
w [O, K], dy and y [N, O].  The mask is applied as dy is read, and the programs of dw's first column
of tiles write db besides.

Each is a matrix product of 2 N O K operations.  dx reads w once for each tile of images and writes
N K elements; dw writes O K elements, which is what it costs at small batches, and reads g once for
each column of tiles, from the L2 cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import PRECISIONS, accumulator, check_precision, masked
from netspec.kernels.conv.pointwise import tiles
from netspec.kernels.conv.tiles import Tile, place
from netspec.kernels.launch import Launch, run
from netspec.kernels.layout import check, check_device, check_kind

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def passed(dy_ptr, y_ptr, at, mask):
    """g: the gradient behind the ReLU, if there is one; 0 where the mask is."""
    g = tl.load(dy_ptr + at, mask=mask, other=0.0)
    if y_ptr is not None:
        g = masked(g, tl.load(y_ptr + at, mask=mask, other=0.0))
    return g


@triton.jit
def input_gradient(
    dy_ptr, y_ptr, w_ptr, dx_ptr, batch, terms, count,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """A tile of dx: images x terms, summed over filters."""
    row_tile, column_tile = place(
        tl.program_id(0), tl.cdiv(batch, ROWS), tl.cdiv(terms, COLUMNS), 8
    )
    n = row_tile * ROWS + tl.arange(0, ROWS)
    i = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    g_row = tl.minimum(n, batch - 1).to(tl.int64) * count  # beyond the edge, the last one again
    dx = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for start in range(0, count, DEPTH):
        o = start + tl.arange(0, DEPTH)
        g = passed(dy_ptr, y_ptr, g_row[:, None] + o[None, :], (o < count)[None, :])
        w = tl.load(
            w_ptr + o.to(tl.int64)[:, None] * terms + i[None, :],
            mask=(o < count)[:, None] & (i < terms)[None, :],
            other=0.0,
        )
        dx = tl.dot(g, w, dx, input_precision=PRECISION, out_dtype=ACCUMULATOR)
    tl.store(
        dx_ptr + n.to(tl.int64)[:, None] * terms + i[None, :],
        dx.to(dx_ptr.dtype.element_ty),
        mask=(n < batch)[:, None] & (i < terms)[None, :],
    )


@triton.jit
def weight_gradient(
    dy_ptr, y_ptr, x_ptr, dw_ptr, db_ptr, x_pitch, batch, terms, count,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """A tile of dw: filters x terms, summed over images; in the first column, their db as well."""
    row_tile, column_tile = place(
        tl.program_id(0), tl.cdiv(count, ROWS), tl.cdiv(terms, COLUMNS), 8
    )
    o = row_tile * ROWS + tl.arange(0, ROWS)
    i = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    step = tl.arange(0, DEPTH)
    g_at = step.to(tl.int64)[None, :] * count + o[:, None]
    x_at = step.to(tl.int64)[:, None] * x_pitch + i[None, :]
    dw = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for start in range(0, batch, DEPTH):
        first = tl.cast(start, tl.int64)
        is_image = step < batch - start
        g = passed(dy_ptr, y_ptr, first * count + g_at, is_image[None, :] & (o < count)[:, None])
        x = tl.load(
            x_ptr + (first * x_pitch + x_at),
            mask=is_image[:, None] & (i < terms)[None, :],
            other=0.0,
        )
        dw = tl.dot(g, x, dw, input_precision=PRECISION, out_dtype=ACCUMULATOR)
    tl.store(
        dw_ptr + o.to(tl.int64)[:, None] * terms + i[None, :],
        dw.to(dw_ptr.dtype.element_ty),
        mask=(o < count)[:, None] & (i < terms)[None, :],
    )
    if column_tile == 0:
        db = tl.zeros((ROWS,), ACCUMULATOR)
        for start in range(0, batch, DEPTH):
            first = tl.cast(start, tl.int64)
            is_image = step < batch - start
            g = passed(
                dy_ptr, y_ptr, first * count + g_at, is_image[None, :] & (o < count)[:, None]
            )
            db += tl.sum(g.to(ACCUMULATOR), axis=1)
        tl.store(db_ptr + o, db.to(db_ptr.dtype.element_ty), mask=o < count)


# --------------------------------------------------------------------------------------- launches


def input_launches(
    dy: Tensor, y: Tensor | None, w: Tensor, dx: Tensor, *, precision: str, tile: Tile | None = None
) -> list[Launch]:
    """dx as one launch; without ``tile``, the one that the model finds fastest."""
    (batch, count), terms = dy.shape, w.shape[1]
    tile = tile or tiles(batch, [terms], count, dy.dtype)[0]
    arguments = _common(dy, y, terms, precision, tile) | {"w_ptr": w, "dx_ptr": dx}
    grid = (tile.programs(batch, terms),)
    return [Launch(input_gradient, grid, arguments, tile.warps, tile.stages)]


def weight_launches(
    dy: Tensor,
    y: Tensor | None,
    x: Tensor,
    dw: Tensor,
    db: Tensor,
    *,
    precision: str,
    tile: Tile | None = None,
) -> list[Launch]:
    """dw and db as one launch; without ``tile``, the one that the model finds fastest."""
    (batch, count), terms = dy.shape, x.shape[1]
    tile = tile or tiles(count, [terms], max(batch, 1), dy.dtype)[0]
    arguments = _common(dy, y, terms, precision, tile) | {
        "x_ptr": x,
        "dw_ptr": dw,
        "db_ptr": db,
        "x_pitch": row_pitch("x", x),
    }
    grid = (tile.programs(count, terms),)
    return [Launch(weight_gradient, grid, arguments, tile.warps, tile.stages)]


def _common(
    dy: Tensor, y: Tensor | None, terms: int, precision: str, tile: Tile
) -> dict[str, object]:
    return {
        "dy_ptr": dy,
        "y_ptr": y,
        "batch": dy.shape[0],
        "terms": terms,
        "count": dy.shape[1],
        "ACCUMULATOR": accumulator(dy.dtype),
        "PRECISION": precision,
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "DEPTH": tile.depth,
    }


def row_pitch(name: str, x: Tensor) -> int:
    """Elements between neighbouring rows of [N, K].

    Raises:
        ValueError: the tensor is no matrix, or the elements of its rows do not lie side by side.
    """
    if x.dim() != 2:
        raise ValueError(f"{name} must be [N, K], and is {list(x.shape)}")
    batch, terms = x.shape
    step = x.stride(0) if batch > 1 and terms > 0 else terms
    if step < terms or (terms > 1 and x.numel() > 0 and x.stride(1) != 1):
        raise ValueError(
            f"{name} must have the elements of a row side by side, and is {list(x.shape)} with "
            f"strides {tuple(x.stride())}; call {name}.contiguous() first"
        )
    return step


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """AlexNet's first layer behind a ReLU at batch 32 and 256."""
    terms, count = 9216, 4096
    for batch in (32, 256):
        x = torch.empty(batch, terms, dtype=dtype, device="meta")
        w, dy = x.new_empty(count, terms), x.new_empty(batch, count)
        for precision in PRECISIONS if dtype == torch.float32 else PRECISIONS[:1]:
            for name, found in (
                ("input", input_launches(dy, dy, w, x, precision=precision)),
                ("weight", weight_launches(dy, dy, x, w, dy[0], precision=precision)),
            ):
                yield f"fc {name} gradient {terms} to {count}, batch {batch}, {precision}", found[0]


# -------------------------------------------------------------------------------------- operators


def _check(dy: Tensor, y: Tensor | None, precision: str) -> None:
    check_precision(precision)
    check_device(dy)
    if dy.dim() != 2:
        raise ValueError(f"dy must be [N, O], and is {list(dy.shape)}")
    check("dy", dy, (dy.shape[0], dy.shape[1]), like=dy)
    if y is not None:
        check("y", y, (dy.shape[0], dy.shape[1]), like=dy)


@torch.library.custom_op("netspec::fc_input_gradient", mutates_args=())
def fc_input_gradient(dy: Tensor, y: Tensor | None, w: Tensor, precision: str = "ieee") -> Tensor:
    """dx [N, K] of dy [N, O] and w [O, K].

    ``y`` [N, O] is the output of the layer's ReLU, or None where there is none.

    Raises:
        ValueError: sizes do not fit each other, or an operand is not contiguous.
        TypeError: types or devices differ, or are none that the kernels run on.
    """
    _check(dy, y, precision)
    if w.dim() != 2:
        raise ValueError(f"w must be [O, K], and is {list(w.shape)}")
    check("w", w, (dy.shape[1], w.shape[1]), like=dy)
    dx = dy.new_empty(dy.shape[0], w.shape[1])
    run(input_launches(dy, y, w, dx, precision=precision))
    return dx


@torch.library.custom_op("netspec::fc_weight_gradient", mutates_args=())
def fc_weight_gradient(
    dy: Tensor, y: Tensor | None, x: Tensor, precision: str = "ieee"
) -> tuple[Tensor, Tensor]:
    """dw [O, K] and db [O] of dy [N, O] and x [N, K], whose rows may lie apart.

    ``y`` [N, O] is the output of the layer's ReLU, or None where there is none.

    Raises:
        ValueError: sizes do not fit each other, or a layout is another one.
        TypeError: types or devices differ, or are none that the kernels run on.
    """
    _check(dy, y, precision)
    check_kind("x", x, dy)
    row_pitch("x", x)
    if x.shape[0] != dy.shape[0]:
        raise ValueError(f"x must be [{dy.shape[0]}, K], and is {list(x.shape)}")
    dw, db = dy.new_empty(dy.shape[1], x.shape[1]), dy.new_empty(dy.shape[1])
    run(weight_launches(dy, y, x, dw, db, precision=precision))
    return dw, db


@fc_input_gradient.register_fake
def _(dy: Tensor, y: Tensor | None, w: Tensor, precision: str = "ieee") -> Tensor:
    return dy.new_empty(dy.shape[0], w.shape[1])


@fc_weight_gradient.register_fake
def _(dy: Tensor, y: Tensor | None, x: Tensor, precision: str = "ieee") -> tuple[Tensor, Tensor]:
    return dy.new_empty(dy.shape[1], x.shape[1]), dy.new_empty(dy.shape[1])

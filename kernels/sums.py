"""Add the partial sums of several programs, in a fixed order.

    y[m, o] = act(b[o] + p[0, m, o] + p[1, m, o] + ...)       few parts of many values: products
    y[j] = (p[0, j] + p[1, j] + ...) / divisor                many parts of few values: pixels

There are no atomic additions, so the result is the same each time.  If there are few parts, each is
read once, 16 bytes per thread; if there are many, a program reads 32 at a time.  The sum of one
part is the bias and the ReLU after a convolution of another library; y may be that part.

The kernels' parameters, with sizes:

    parts_ptr       [parts, rows, count], rows parts_pitch apart; or [parts, columns], contiguous
    b_ptr           [count], or None
    y_ptr           [rows, count], its rows y_pitch apart, or [columns]; written
    parts_pitch     elements from a row of a part to the next
    parts_step      elements from a part to the next
    y_pitch         elements from a row of y to the next
    rows            number of rows
    count, columns  values of a row of y
    parts, divisor  number of parts, and divisor of their sum
    RELU            true if negative sums become 0
    ACCUMULATOR     type of the sums
    ROWS, COLUMNS   rows and values of a row, or parts and values, that a program reads at a time
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator, accumulator_dtype, finished
from netspec.kernels.launch import MULTIPROCESSORS, Launch, blocks, power_of_two

# --------------------------------------------------------------------------------- configurations

BLOCK = 2048
"""Bytes of a part that a program reads at a time: 16 per thread."""

PROGRAMS = 2 * MULTIPROCESSORS
"""Number of programs that fill a GPU."""


def parts_of(pixels: int, programs: int, block: int) -> int:
    """Return the number of programs that share a sum over ``pixels``.

    Args:
        pixels: number of terms.
        programs: number of sums, which run at the same time.
        block: terms that a program reads at a time; each program gets at least two blocks.
    """
    return max(1, min(PROGRAMS // max(1, programs), blocks(pixels, 2 * block)))


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def sum_parts(
    parts_ptr, b_ptr, y_ptr, parts_pitch, parts_step, y_pitch, rows, count, parts,
    RELU: tl.constexpr, ACCUMULATOR: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Compute ROWS x COLUMNS values of y; grid: tiles."""
    column_tiles = tl.cdiv(count, COLUMNS)
    tile = tl.program_id(0)
    row = (tile // column_tiles * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    o = tile % column_tiles * COLUMNS + tl.arange(0, COLUMNS)
    is_there = (row < rows) & (o < count)[None, :]
    part_ptr = parts_ptr + row * parts_pitch + o[None, :]
    y = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for _ in range(parts):
        y += tl.load(part_ptr, mask=is_there, other=0.0).to(ACCUMULATOR)
        part_ptr += parts_step
    y = finished(y, b_ptr, o, o < count, RELU, ACCUMULATOR)
    tl.store(y_ptr + row * y_pitch + o[None, :], y.to(y_ptr.dtype.element_ty), mask=is_there)


@triton.jit
def sum_many_parts(
    parts_ptr, y_ptr, parts, columns, divisor,
    ACCUMULATOR: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Compute COLUMNS values of y from ROWS parts at a time; grid: columns."""
    j = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for first in range(0, parts, ROWS):
        i = first + tl.arange(0, ROWS)
        total += tl.load(
            parts_ptr + i.to(tl.int64)[:, None] * columns + j[None, :],
            mask=(i < parts)[:, None] & (j < columns)[None, :],
            other=0.0,
        )
    y = tl.sum(total, 0) / tl.cast(divisor, ACCUMULATOR)
    tl.store(y_ptr + j, y.to(y_ptr.dtype.element_ty), mask=j < columns)


# --------------------------------------------------------------------------------------- launches


def sum_of(
    parts: Tensor,
    y: Tensor,
    b: Tensor | None = None,
    *,
    relu: bool = False,
    pitch: int | None = None,
    parts_pitch: int | None = None,
) -> Launch:
    """Return the launch that adds few parts of many values, with bias and ReLU.

    Args:
        parts: [parts, *size of y]; one part may be y itself.
        y: output; its last axis is o.
        b: bias [o], or None.
        relu: True to replace negative sums by 0.
        pitch: elements from a row of y to the next; None if y is contiguous.
        parts_pitch: elements from a row of a part to the next; None if the parts are contiguous.
    """
    count = y.shape[-1]
    if b is None and pitch is None and parts_pitch is None:
        count = y.numel()  # one long row: reads of 16 bytes, however short a row is
    rows = y.numel() // max(1, count)
    block = BLOCK // parts.element_size()
    columns = min(power_of_two(count), block)
    arguments = {
        "parts_ptr": parts,
        "b_ptr": b,
        "y_ptr": y,
        "parts_pitch": parts_pitch or count,
        "parts_step": rows * (parts_pitch or count),
        "y_pitch": pitch or count,
        "rows": rows,
        "count": count,
        "parts": parts.shape[0],
        "RELU": relu,
        "ACCUMULATOR": accumulator(y.dtype),
        "ROWS": block // columns,
        "COLUMNS": columns,
    }
    tiles = blocks(rows, block // columns) * blocks(count, columns)
    return Launch(sum_parts, (tiles,), arguments)


def sum_of_many(parts: Tensor, y: Tensor, divisor: int = 1) -> Launch:
    """Return the launch that adds many parts: y [...] = sum of parts [parts, ...] / divisor."""
    columns = prod(parts.shape[1:])
    arguments = {
        "parts_ptr": parts,
        "y_ptr": y,
        "parts": parts.shape[0],
        "columns": columns,
        "divisor": divisor,
        "ACCUMULATOR": accumulator(parts.dtype),
        "ROWS": 32,
        "COLUMNS": 32,
    }
    return Launch(sum_many_parts, (blocks(columns, 32),), arguments)


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the sum of four parts of VGG16's last convolution at batch 1, and the bias and ReLU
    after a convolution, in place."""
    y = torch.empty(1, 14, 14, 512, dtype=dtype, device="meta")
    parts = torch.empty(4, *y.shape, dtype=accumulator_dtype(dtype), device="meta")
    yield "sum of 4 parts, 14x14x512", sum_of(parts, y, y.new_empty(512), relu=True)
    yield "bias and ReLU, 14x14x512", sum_of(y[None], y, y.new_empty(512), relu=True)

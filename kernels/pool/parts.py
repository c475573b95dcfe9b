"""Sums over pixels that several programs share: how many do, and their parts added in one order.

    y[j] = (p[0, j] + p[1, j] + ...) / count

Unlike the parts of a product (:mod:`netspec.kernels.sums`) these are many and short.
"""

from __future__ import annotations

from math import prod

import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.conv.tiles import MULTIPROCESSORS
from netspec.kernels.launch import Launch, blocks

# --------------------------------------------------------------------------------- configurations

PROGRAMS = 2 * MULTIPROCESSORS
"""Programs that fill a GPU."""


def parts_of(pixels: int, programs: int, block: int) -> int:
    """Programs that share a sum over ``pixels``, where ``programs`` others run beside each, and
    each has two blocks at least."""
    return max(1, min(PROGRAMS // max(1, programs), blocks(pixels, 2 * block)))


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def sum_parts(
    part_ptr, y_ptr, parts, columns, count,
    ACCUMULATOR: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """y[j] = (sum over i of part[i, j]) / count, in one order; grid: columns."""
    j = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for first in range(0, parts, ROWS):
        i = first + tl.arange(0, ROWS)
        total += tl.load(
            part_ptr + i.to(tl.int64)[:, None] * columns + j[None, :],
            mask=(i < parts)[:, None] & (j < columns)[None, :],
            other=0.0,
        )
    y = tl.sum(total, 0) / tl.cast(count, ACCUMULATOR)
    tl.store(y_ptr + j, y.to(y_ptr.dtype.element_ty), mask=j < columns)


# --------------------------------------------------------------------------------------- launches


def sum_of_parts(part: Tensor, y: Tensor, count: int = 1) -> Launch:
    """The last step of a sum that many programs share: ``part`` [parts, ...] into ``y`` [...]."""
    columns = prod(part.shape[1:])
    arguments = {
        "part_ptr": part,
        "y_ptr": y,
        "parts": part.shape[0],
        "columns": columns,
        "count": count,
        "ACCUMULATOR": accumulator(part.dtype),
        "ROWS": 32,
        "COLUMNS": 32,
    }
    return Launch(sum_parts, (blocks(columns, 32),), arguments)

"""Tiles: how the work of a convolution is divided among programs, and a model of their time.

Measurement on the GPU is better than any model.  Without a measurement, :func:`choose` returns the
fastest tile by a simple model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl

from netspec.kernels.arithmetic import accumulator
from netspec.kernels.launch import MULTIPROCESSORS, Launch, blocks


@dataclass(frozen=True)
class ProductTile:
    """The work of a program: ``rows`` x ``columns`` outputs, ``depth`` terms at a time.

    In the forward pass, rows are pixels and columns are filters.  ``splits`` programs share one
    sum (:mod:`netspec.kernels.conv.split`).
    """

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int
    splits: int = 1

    def programs(self, rows: int, columns: int) -> int:
        """Return the number of tiles of a product of ``rows`` x ``columns``, without splits."""
        return blocks(rows, self.rows) * blocks(columns, self.columns)

    def constants(self) -> dict[str, int]:
        """Return the tile as compile-time arguments of kernels."""
        return {"ROWS": self.rows, "COLUMNS": self.columns, "DEPTH": self.depth}

    def launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        arguments: dict[str, Any],
        dtype: torch.dtype,
        precision: str,
    ) -> Launch:
        """Return the launch of a kernel with this tile.

        Args:
            kernel: the kernel.
            grid: number of programs along each axis.
            arguments: arguments that depend neither on the tile nor on the arithmetic.
            dtype: type of the operands.
            precision: precision of float32 products.
        """
        of_arithmetic = {"ACCUMULATOR": accumulator(dtype), "PRECISION": precision}
        arguments = arguments | of_arithmetic | self.constants()
        return Launch(kernel, grid, arguments, self.warps, self.stages)


Tiles = dict[str, tuple[ProductTile, ...]]
"""The tiles of a kernel by arithmetic: ``half`` (float16 and bfloat16 on tensor cores), ``tf32``
(float32 rounded for tensor cores), ``ieee`` (full float32, without tensor cores) and ``double`` (to
check gradients; not optimised).

Tensor cores of sm_90 need multiples of 64 rows.  All shipped tiles compile without spilling
registers (docs/kernels.md).  Deep tiles are for many channels, shallow tiles for few.
"""


def arithmetic(dtype: torch.dtype, precision: str) -> str:
    """Return the arithmetic for a type and a precision, which is a key of :data:`Tiles`."""
    if dtype.itemsize == 2:
        return "half"
    return "double" if dtype == torch.float64 else precision


@dataclass(frozen=True)
class Product:
    """``groups`` products of ``rows`` x ``columns``; an output sums ``taps`` x ``depth`` terms."""

    rows: int
    columns: int
    taps: int
    depth: int
    groups: int = 1


def choose(product: Product, tiles: Iterable[ProductTile]) -> ProductTile:
    """Return the fastest tile by the model."""
    return min(tiles, key=lambda tile: estimate(product, tile))


def estimate(product: Product, tile: ProductTile) -> float:
    """Return the model's time: rounds of programs on the GPU, times the time of one program.

    A program computes rows x columns x terms products and loads (rows + columns) x terms values;
    the two overlap.  A multiprocessor of an H200 computes 1,700 bf16 products per clock (790
    TFLOP/s / 132 multiprocessors at 1.75 GHz) and reads 64 bytes per clock from the L2 cache, so
    one value costs as much as 53 products.  Each step has an overhead of about 8 terms.  A split
    sum is written and read once more.
    """
    programs = tile.programs(product.rows, product.columns) * product.groups * tile.splits
    rounds = blocks(programs, MULTIPROCESSORS)
    steps = product.taps * blocks(product.depth, tile.depth * tile.splits)
    a_term = max(tile.rows * tile.columns, 53 * (tile.rows + tile.columns))
    extra = 0 if tile.splits == 1 else 64 * tile.rows * tile.columns
    return float(rounds * (a_term * steps * (tile.depth + 8) + extra))


def unit(dtype: torch.dtype, *values: int) -> int:
    """Return 8 if values in half precision are all divisible by 8 but not all by 16, else 1.

    8 elements in half precision are 16 bytes, the widest load.  Triton itself only detects values
    that are divisible by 16.
    """
    is_known = all(value % 16 == 0 for value in values)
    is_whole = all(value % 8 == 0 for value in values)
    return 8 if dtype.itemsize == 2 and is_whole and not is_known else 1


def shipped(tiles: Tiles, dtype: torch.dtype) -> Iterator[tuple[str, str, ProductTile]]:
    """Yield (label, precision, tile) for each tile and each precision that a type supports."""
    for precision in ("ieee", "tf32") if dtype == torch.float32 else ("ieee",):
        for tile in tiles[arithmetic(dtype, precision)]:
            suffix = " tf32" if precision == "tf32" else ""
            yield f"{tile.rows}x{tile.columns}x{tile.depth}{suffix}", precision, tile


@triton.jit
def place(program, row_tiles, column_tiles, BAND: tl.constexpr):
    """Return the (row, column) of a program's tile.

    The order is bands of BAND rows of tiles, and columns within a band, so that programs that run
    at the same time read the same data from the L2 cache.
    """
    of_band = BAND * column_tiles
    first = program // of_band * BAND
    height = min(row_tiles - first, BAND)
    within = program % of_band
    return first + within % height, within // height


@triton.jit
def store(y_ptr, y_pitch, y, rows, o, columns, pixels, count):
    """Write the part of a tile y [rows, columns] that is inside the output, to filters o."""
    tl.store(
        y_ptr + rows.to(tl.int64)[:, None] * y_pitch + o[None, :],
        y.to(y_ptr.dtype.element_ty),
        mask=(rows < pixels)[:, None] & (columns < count)[None, :],
    )

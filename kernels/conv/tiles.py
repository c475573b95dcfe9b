"""How the work of a convolution is cut into programs, and which cut is taken unmeasured.

A measurement on the GPU at hand is better than any rule.  Until somebody has measured,
:func:`choose` takes the cut that a simple model finds fastest.
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
    """A program computes ``rows`` x ``columns`` outputs (pixels x filters), ``depth`` terms at a
    time; ``splits`` programs share one sum (:mod:`netspec.kernels.conv.split`)."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int
    splits: int = 1

    def programs(self, rows: int, columns: int) -> int:
        """Tiles that cover a product of ``rows`` x ``columns``, without the splits."""
        return blocks(rows, self.rows) * blocks(columns, self.columns)

    def constants(self) -> dict[str, int]:
        """The tile as the kernels' compile-time arguments."""
        return {"ROWS": self.rows, "COLUMNS": self.columns, "DEPTH": self.depth}

    def launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        arguments: dict[str, Any],
        dtype: torch.dtype,
        precision: str,
    ) -> Launch:
        """Return the launch of a kernel that multiplies such tiles of operands of a type.

        ``arguments`` are those that depend neither on the tile nor on the arithmetic.
        """
        of_arithmetic = {"ACCUMULATOR": accumulator(dtype), "PRECISION": precision}
        arguments = arguments | of_arithmetic | self.constants()
        return Launch(kernel, grid, arguments, self.warps, self.stages)


Tiles = dict[str, tuple[ProductTile, ...]]
"""What a kernel has to choose from, for each arithmetic: ``half`` (float16 and bfloat16,
on tensor cores), ``tf32`` (float32 rounded for them), ``ieee`` (float32 in full, without them) and
``double`` (to check gradients, not to be fast).

Tensor cores of sm_90 take rows in 64s.  Every tile that is shipped compiles without spilling a
register (docs/kernels.md); a deep tile suits many channels, a shallow one few.
"""


def arithmetic(dtype: torch.dtype, precision: str) -> str:
    """The arithmetic that a type and a precision ask for, a key of :data:`Tiles`."""
    if dtype.itemsize == 2:
        return "half"
    return "double" if dtype == torch.float64 else precision


@dataclass(frozen=True)
class Product:
    """``groups`` products of ``rows`` x ``columns``, each element a sum over ``taps`` x ``depth``
    terms."""

    rows: int
    columns: int
    taps: int
    depth: int
    groups: int = 1


def choose(product: Product, tiles: Iterable[ProductTile]) -> ProductTile:
    """The tile that the model finds fastest."""
    return min(tiles, key=lambda tile: estimate(product, tile))


def estimate(product: Product, tile: ProductTile) -> float:
    """The model: rounds of programs on the GPU, times what one of them takes.

    A program multiplies rows x columns x terms and loads (rows + columns) x terms; the two overlap.
    A multiprocessor of an H200 multiplies 1,700 pairs of bf16 a clock (790 TFLOP/s by 132 of them
    at 1.75 GHz) and reads 64 bytes from the L2 cache, so a value costs what 53 products do.  A step
    costs some 8 terms more than it has.  A split sum is written and read once more.
    """
    programs = tile.programs(product.rows, product.columns) * product.groups * tile.splits
    rounds = blocks(programs, MULTIPROCESSORS)
    steps = product.taps * blocks(product.depth, tile.depth * tile.splits)
    a_term = max(tile.rows * tile.columns, 53 * (tile.rows + tile.columns))
    extra = 0 if tile.splits == 1 else 64 * tile.rows * tile.columns
    return float(rounds * (a_term * steps * (tile.depth + 8) + extra))


def unit(dtype: torch.dtype, *values: int) -> int:
    """8, which makes 16 bytes in half precision, where it divides all of the values and 16 does
    not; else 1, which changes nothing."""
    is_known = all(value % 16 == 0 for value in values)
    is_whole = all(value % 8 == 0 for value in values)
    return 8 if dtype.itemsize == 2 and is_whole and not is_known else 1


def shipped(tiles: Tiles, dtype: torch.dtype) -> Iterator[tuple[str, str, ProductTile]]:
    """Every tile of a type with every precision it may be asked for: (label, precision, tile)."""
    for precision in ("ieee", "tf32") if dtype == torch.float32 else ("ieee",):
        for tile in tiles[arithmetic(dtype, precision)]:
            suffix = " tf32" if precision == "tf32" else ""
            yield f"{tile.rows}x{tile.columns}x{tile.depth}{suffix}", precision, tile


@triton.jit
def place(program, row_tiles, column_tiles, BAND: tl.constexpr):
    """The (row, column) of a program's tile: BAND rows of tiles at a time, row by row within, so
    that programs that run together share what they read in the L2 cache."""
    of_band = BAND * column_tiles
    first = program // of_band * BAND
    height = min(row_tiles - first, BAND)
    within = program % of_band
    return first + within % height, within // height


@triton.jit
def store(y_ptr, y_pitch, y, rows, o, columns, pixels, count):
    """Write a tile y [rows, columns] to the filters o, where rows and columns are in their map."""
    tl.store(
        y_ptr + rows.to(tl.int64)[:, None] * y_pitch + o[None, :],
        y.to(y_ptr.dtype.element_ty),
        mask=(rows < pixels)[:, None] & (columns < count)[None, :],
    )

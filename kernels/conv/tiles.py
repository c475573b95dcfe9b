"""How the work of a convolution is cut into programs, and which cut is taken unmeasured.

A measurement on the GPU at hand is better than any rule.  Until somebody has measured,
:func:`choose` takes the cut that a simple model finds fastest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from netspec.kernels.launch import blocks

MULTIPROCESSORS = 132
"""Of an H100 or H200; how many programs the model lets run side by side."""


@dataclass(frozen=True)
class Tile:
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


Tiles = dict[str, tuple[Tile, ...]]
"""What a kernel has to choose from, for each way of multiplying: ``half`` (float16 and bfloat16,
on tensor cores), ``tf32`` (float32 rounded for them), ``ieee`` (float32 in full, without them) and
``double`` (to check gradients, not to be fast).

Tensor cores of sm_90 take rows in 64s.  Every tile that is shipped compiles without spilling a
register (docs/kernels.md); a deep tile suits many channels, a shallow one few.
"""


def arithmetic(dtype: torch.dtype, precision: str) -> str:
    """The way of multiplying that a type and a precision ask for, a key of :data:`Tiles`."""
    if dtype.itemsize == 2:
        return "half"
    return "double" if dtype == torch.float64 else precision


@dataclass(frozen=True)
class Work:
    """``groups`` products of ``rows`` x ``columns``, each element a sum over ``taps`` x ``depth``
    terms."""

    rows: int
    columns: int
    taps: int
    depth: int
    groups: int = 1


def choose(work: Work, tiles: Iterable[Tile]) -> Tile:
    """The tile that the model finds fastest."""
    return min(tiles, key=lambda tile: estimate(work, tile))


def estimate(work: Work, tile: Tile) -> float:
    """The model: rounds of programs on the GPU, times what one of them takes.

    A program multiplies rows x columns x terms and loads (rows + columns) x terms; the two overlap.
    A multiprocessor of an H200 multiplies 1,700 pairs of bf16 a clock (790 TFLOP/s by 132 of them
    at 1.75 GHz) and reads 64 bytes from the L2 cache, so a value costs what 53 products do.  A step
    costs some 8 terms more than it has.  A split sum is written and read once more.
    """
    programs = tile.programs(work.rows, work.columns) * work.groups * tile.splits
    rounds = blocks(programs, MULTIPROCESSORS)
    steps = work.taps * blocks(work.depth, tile.depth * tile.splits)
    product = max(tile.rows * tile.columns, 53 * (tile.rows + tile.columns))
    extra = 0 if tile.splits == 1 else 64 * tile.rows * tile.columns
    return float(rounds * (product * steps * (tile.depth + 8) + extra))


def shipped(tiles: Tiles, dtype: torch.dtype) -> Iterator[tuple[str, str, Tile]]:
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

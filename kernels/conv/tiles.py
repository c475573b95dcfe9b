"""How the work of a convolution is cut into programs, and which cut is taken unmeasured.

A measurement on the GPU at hand is better than any rule: :func:`candidates` says what there is to
measure.  Until somebody has, :func:`choose` takes the cut that a simple model finds fastest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import triton
import triton.language as tl

from netspec.kernels.conv.geometry import Geometry
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


TILES: dict[int, tuple[Tile, ...]] = {
    2: (
        Tile(128, 128, 64, warps=8, stages=3),
        Tile(128, 64, 64, warps=4, stages=3),
        Tile(64, 128, 64, warps=4, stages=3),
        Tile(64, 64, 64, warps=4, stages=4),
        Tile(64, 32, 64, warps=4, stages=4),
        Tile(16, 64, 64, warps=4, stages=4),
    ),
    4: (
        Tile(64, 64, 16, warps=4, stages=3),
        Tile(64, 32, 32, warps=4, stages=3),
        Tile(16, 32, 32, warps=2, stages=3),
    ),
    8: (Tile(16, 16, 16, warps=4, stages=2),),
}
"""What there is to choose from, by the bytes of an element.

Tensor cores of sm_90 take rows in 64s; float32 in full precision has no tensor core, so its tiles
stay small enough that nothing spills; float64 is there to check gradients, not to be fast.
"""

DEPTHS = (64, 32, 16)
SPLITS = (1, 2, 4, 8)


def candidates(geometry: Geometry, dtype: torch.dtype) -> list[Tile]:
    """Every tile worth measuring: all sizes, each with the depth that wastes least, each with as
    many splits as leave every program two steps of channels."""
    found = []
    for tile in TILES[dtype.itemsize]:
        depth = best_depth(geometry.channels_of_group, tile.depth)
        steps = blocks(geometry.channels_of_group, depth)
        found += [
            replace(tile, depth=depth, splits=splits)
            for splits in SPLITS
            if splits == 1 or steps >= 2 * splits
        ]
    return found


def best_depth(channels: int, at_most: int) -> int:
    """The depth whose steps cover ``channels`` at least cost; a step costs some 8 terms more."""
    fitting = [depth for depth in DEPTHS if depth <= at_most]
    return min(fitting, key=lambda depth: blocks(channels, depth) * (depth + 8))


def choose(geometry: Geometry, dtype: torch.dtype) -> Tile:
    """The candidate that the model finds fastest."""
    return min(candidates(geometry, dtype), key=lambda tile: estimate(geometry, tile))


def estimate(geometry: Geometry, tile: Tile) -> float:
    """The model: rounds of programs on the GPU, times what one of them takes.

    A program multiplies rows x columns x terms and loads (rows + columns) x terms; the two overlap,
    and loading a value costs about 32 products.  A split sum is written and read once more.
    """
    programs = tile.programs(geometry.pixels_out, geometry.count_of_group) * geometry.groups
    rounds = blocks(programs * tile.splits, MULTIPROCESSORS)
    steps = blocks(geometry.channels_of_group, tile.depth * tile.splits)
    terms = geometry.kernel[0] * geometry.kernel[1] * steps * tile.depth
    work = max(tile.rows * tile.columns, 32 * (tile.rows + tile.columns)) * terms
    extra = 0 if tile.splits == 1 else 64 * tile.rows * tile.columns
    return float(rounds * (work + extra))


@triton.jit
def place(program, row_tiles, column_tiles, BAND: tl.constexpr):
    """The (row, column) of a program's tile: BAND rows of tiles at a time, row by row within, so
    that programs that run together share what they read in the L2 cache."""
    of_band = BAND * column_tiles
    first = program // of_band * BAND
    height = min(row_tiles - first, BAND)
    within = program % of_band
    return first + within % height, within // height

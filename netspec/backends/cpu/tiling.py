"""A convolution in tiles of rows: the convolutions and the products of Winograd's method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import NamedTuple

from netspec.backends.cpu.conv import conv_of
from netspec.backends.cpu.toom_cook import transforms
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape, Window, ceiling, rounded_up
from netspec.lowering.implementation import Problem

OUTPUTS = {3: 4, 5: 4, 7: 2}
"""The rows of a tile, by the rows of the kernel.  With more rows the error grows quickly."""

UNIT = 1
"""The number of the factor of the point 1.  Every row contains its product once, so a bias is added
to this product only."""

BLOCK = 2**20
"""The least bytes of products in a block.  With larger ones, the products leave the cache; with
smaller ones, the weights are read more often."""


class Block(NamedTuple):
    """Tiles that are computed together: ``tiles`` of each of ``images`` maps."""

    image: int
    images: int
    tile: int
    tiles: int


class Part(NamedTuple):
    """Tiles of a block, after its first ``tile`` tiles, whose results have ``rows`` rows."""

    tile: int
    tiles: int
    rows: int


def upright(problem: Problem) -> Problem | None:
    """Return a problem whose rows can be tiled, on the same memory; None if there is none.

    A convolution with one row of taps is one with one column of taps, on maps that are the rows.
    """
    op, (shape, *_) = conv_of(problem), problem.inputs
    down, right = op.windows(problem.inputs)
    if _can_be_tiled(down):
        return problem
    if (down.kernel, down.stride) != (1, 1) or not _can_be_tiled(right):
        return None
    turned = replace(
        op, kernel=(right.kernel, 1), pad=(right.before, right.tail, 0, 0), round="floor"
    )
    height = shape[0]
    return replace(
        problem,
        op=turned,
        inputs=tuple(Shape((width, 1, channels)) for _, width, channels in problem.inputs),
        batch=height * problem.batch,
    )


def _can_be_tiled(window: Window) -> bool:
    return window.kernel in OUTPUTS and (window.stride, window.dilation) == (1, 1)


class Tiling:
    """The tiles of a problem.

    Args:
        problem: a convolution whose rows can be tiled, see :func:`upright`.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.op = problem, conv_of(problem)
        self._down, self._right = self.op.windows(problem.inputs)
        self.rows = OUTPUTS[self._down.kernel]
        """The rows of the result in a tile."""
        self.matrices = transforms(self.rows, self._down.kernel)
        self.factors = len(self.matrices.data)
        """The rows of the operand in a tile, and the number of factors and products."""
        self.tiles = ceiling(self._down.size_out, self.rows)
        """The tiles of a map.  The last one may have fewer rows."""

    @cached_property
    def row(self) -> int:
        """The elements of a row of the result."""
        return self.problem.output[1] * self.op.count

    @cached_property
    def filter_shape(self) -> tuple[int, int, int, int]:
        """The sizes of the weights: filters, channels, rows, columns."""
        return self.op.count, self.op.channels_seen(self.problem.inputs), *self.op.kernel

    @property
    def products(self) -> float:
        """The multiply-accumulates of all products of the batch."""
        taps, size = self._down.kernel, self._down.size_out
        return self.problem.operations / 2 * self.factors * self.tiles / (taps * size)

    def pitch(self, block: Block) -> int:
        """Return the elements from one product of a block to the next."""
        return rounded_up(block.images * block.tiles * self.row, 16)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of all tiles."""
        images, tiles = self.problem.batch, self.tiles
        count, seen, _, columns = self.filter_shape
        largest = max(BLOCK, 4 * self.factors * count * seen * columns)
        size = 4 * self.factors * self.row * tiles
        # Several parts of one map, or one or several whole maps.
        parts = max(1, round(size / largest))
        together = max(1, min(images, largest // size))
        together = ceiling(images, ceiling(images, together))
        tall = ceiling(tiles, parts)
        for image in range(0, images, together):
            for tile in range(0, tiles, tall):
                yield Block(image, min(together, images - image), tile, min(tall, tiles - tile))

    def rows_read(self, block: Block) -> range:
        """Return the rows of the operand that the tiles of a block read."""
        first = block.tile * self.rows - self._down.before
        end = first + (block.tiles - 1) * self.rows + self.factors
        return range(max(0, first), min(self.problem.inputs[0][0], end))

    def transform(self, block: Block) -> Problem:
        """Return the depthwise convolution that computes one factor of each tile."""
        channels, read = self.problem.inputs[0].channels, self.rows_read(block)
        above = self._down.before - block.tile * self.rows + read.start
        below = (block.tiles - 1) * self.rows + self.factors - above - len(read)
        op = Conv(
            kernel=(self.factors, 1),
            count=channels,
            stride=(self.rows, 1),
            pad=(above, below, 0, 0),
            groups=channels,
            bias=False,
        )
        shape = Shape((len(read), self.problem.inputs[0][1], channels))
        return replace(self.problem, op=op, inputs=(shape,), batch=block.images)

    def multiplication(self, block: Block, number: int) -> Problem:
        """Return the convolution that computes one product of each tile from its factor."""
        right, (_, width, channels) = self._right, self.problem.inputs[0]
        op = Conv(
            kernel=(1, right.kernel),
            count=self.op.count,
            stride=(1, right.stride),
            dilation=(1, right.dilation),
            pad=(0, 0, right.before, right.tail),
            groups=self.op.groups,
            bias=self.op.bias and number == UNIT,
        )
        shape = Shape((block.tiles, width, channels))
        return replace(self.problem, op=op, inputs=(shape,), batch=block.images)

    def parts(self, block: Block) -> Iterator[Part]:
        """Yield the tiles of a block with all rows, then the last tile if it has fewer."""
        full = min(block.tiles, self._down.size_out // self.rows - block.tile)
        if full:
            yield Part(0, full, self.rows)
        if full < block.tiles:
            yield Part(full, 1, self._down.size_out % self.rows)

    def estimate(self, threads: int) -> float:
        """Return the time in units of a multiply-accumulate of a direct convolution.

        Measured on AVX-512 cores, each with 57 multiply-accumulates in a nanosecond, for 3x3: on
        one core 0.8 ns for each element of the operand, 0.5 ns for each element of the result,
        0.1 ns for each byte by which the weights are larger and 1.2 us for each launch; on two
        cores, which wait for each other, 3.5 us for each launch.  Factors of longer kernels take
        longer, because their filters have more taps in relation to the rows of a tile.
        """
        problem, factors = self.problem, self.factors
        in_factors = 45 * (factors**2 / self.rows) / (6**2 / 4)
        moved = in_factors * problem.inputs[0].elements + 30 * problem.output.elements
        larger = prod(self.filter_shape) * (factors / self._down.kernel - 1)
        launches = sum(2 * factors + len([*self.parts(block)]) for block in self.blocks())
        launch = 70_000 if threads == 1 else 200_000 * threads
        return self.products + problem.batch * moved + 23 * larger + launch * launches

"""Convolution with fewer products, in tiles of rows (Winograd's method along one axis).

Four rows of the result of a 3x3 convolution are computed from six rows of the operand.  Six
depthwise convolutions with one column of taps compute the factors of all tiles, B d: six maps with
a quarter of the rows.  Six convolutions with 1x3 kernels multiply them by the factors of the
weights, G g.  One matrix product per tile computes its rows from the products.  Together these need
half of the products of the 3x3 convolution: 6 x 3 instead of 4 x 9 per tile and pair of channels.

All of them are primitives of oneDNN.  The error is about twice that of a direct convolution; it
would be six to eight times as large if both axes were transformed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from netspec.backends.cpu.conv import OneDnnConv, conv_of, dense_shape, share_inside, steps_after
from netspec.backends.cpu.direct import Direct, copied, require_kept
from netspec.backends.cpu.implementation import required, safe_domain
from netspec.backends.cpu.onednn.layouts import Layout, activations, rows, strided
from netspec.backends.cpu.onednn.library import share_threads
from netspec.backends.cpu.onednn.primitives import (
    Argument,
    Description,
    Launch,
    Memory,
    launch,
    matrix_product,
)
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.cpu.tiling import UNIT, Block, Part, Tiling, upright
from netspec.backends.cpu.toom_cook import Matrix, transforms
from netspec.ir.fused.conv_add import ConvAdd
from netspec.ir.growth import Growth
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem, Tensors

DIRECT = OneDnnConv()

Weights = Sequence[tuple[Argument, Memory]]
"""Packed weights, and maybe a bias, as operands of a primitive."""


LARGEST_ESTIMATE = 0.85
"""The largest estimate, relative to a direct convolution, for which the method is chosen.

Times of whole nets on AVX-512 cores, quiet, in turns: with 0.8, AlexNet and GoogLeNet at a batch
of 1 took 1 to 3 % longer on one core and on two, SqueezeNet on one core 3 %.  With 0.9, two cores
gained 0 to 1 % and one core 1 to 2 %, for more launches, each of which waits if a core is late.
"""


class Winograd(Direct):
    """act(b + w * x) with fewer products than a direct convolution needs."""

    name = "winograd"
    is_exact = False

    def lacks(self, problem: Problem) -> str:
        if problem.dtype != torch.float32:
            return "Winograd's method needs the precision of float32"
        if conv_of(problem).groups == problem.inputs[0].channels:
            return "Winograd's method does not help if each filter sees one channel"
        if upright(problem) is None:
            return "Winograd's method needs 3, 5 or 7 adjacent taps along an axis with stride 1"
        return ""

    def pays(self, problem: Problem) -> bool:
        tiling = _tiling(problem)
        direct = tiling.problem.operations / 2
        return tiling.estimate(share_threads()) < LARGEST_ESTIMATE * direct

    def operations(self, problem: Problem) -> float:
        tiling = _tiling(problem)
        _, right = tiling.op.windows(tiling.problem.inputs)
        return 2 * tiling.products * share_inside(right)

    def enlargement(self, problem: Problem) -> float:
        """Return how much larger its sums may be than those of a direct convolution."""
        matrices = _tiling(problem).matrices
        return matrices.growth / len(matrices.weights[0])

    def domain(self, problem: Problem, growth: Growth) -> float:
        larger = self.enlargement(problem)
        if not growth.gain * larger < torch.finfo(problem.dtype).max:
            return -inf  # a factor of the weights may be infinite
        return safe_domain(problem, growth) / larger

    def describe(self, problem: Problem) -> None:
        tiling = _tiling(problem)
        for block in {block._replace(image=0): block for block in tiling.blocks()}.values():
            DIRECT.describe(tiling.transform(block))
            DIRECT.describe(tiling.multiplication(block, 0))
            for part in tiling.parts(block):
                _sums(tiling.problem, block._replace(tile=0), part, share_threads())

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        checked, tiling = required(problem, tensors), _tiling(problem)
        filters, seen, _, columns = tiling.filter_shape
        weight = conv_of(problem).dense(checked["weight"]).view(tiling.filter_shape)
        packed = {"inner": copied(weight[:, :, 1:-1])}
        factors = torch.einsum(
            "jk,oikl->joil", _tensor(tiling.matrices.weights, torch.float64), weight.double()
        )
        # Copied, not computed: 0 x infinity would be NaN, and the sign of a zero would be lost.
        factors[0], factors[-1] = weight[:, :, 0], weight[:, :, -1]
        for number, part in _multiplications(tiling):
            factor = factors[number].to(problem.dtype).view(filters, seen, 1, columns)
            given = {"weight": factor}
            if conv_of(part).bias:
                given["bias"] = checked["bias"]
            for name, tensor in DIRECT.pack(part, given).items():
                packed[f"{name}{number}"] = tensor
        return packed

    def require_packed(self, problem: Problem, packed: Tensors) -> None:
        filters, seen, taps, columns = _tiling(problem).filter_shape
        require_kept(packed["inner"], "inner", (filters, seen, taps - 2, columns), problem.dtype)

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        tiling = _tiling(problem)
        outer = {
            number: DIRECT.unpack(part, _numbered(packed, number))
            for number, part in _multiplications(tiling)
            if number in (0, UNIT, tiling.factors - 1)
        }
        first, last = outer[0]["weight"], outer[tiling.factors - 1]["weight"]
        taps = torch.cat([first, packed["inner"], last], dim=2)
        op = conv_of(problem)
        tensors = {"weight": op.sparse(taps.view(dense_shape(problem))).contiguous()}
        return tensors | ({"bias": outer[UNIT]["bias"]} if op.bias else {})

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        packed_for = dict(_multiplications(_tiling(problem)))
        tiling = _tiling(replace(problem, batch=len(y)))
        return list(_Binding(tiling, packed_for, packed, x, y, scratch).launches())


class _Binding:
    """A convolution on fixed memory."""

    def __init__(
        self,
        tiling: Tiling,
        packed_for: Mapping[int, Problem],
        packed: Tensors,
        x: Sequence[Tensor],
        y: Tensor,
        scratch: Scratch,
    ) -> None:
        here = tiling.problem
        self._tiling, self._scratch = tiling, scratch
        self._packed_for, self._packed = packed_for, packed
        self._blocks = list(tiling.blocks())
        self._source = x[0].view(here.batch, *here.inputs[0])
        self._result, *self._added = (z.view(here.batch, *here.output) for z in (y, *x[1:]))
        factor_size = max(_elements(tiling.transform(block)) for block in self._blocks)
        products_size = tiling.factors * max(map(tiling.pitch, self._blocks))
        self._factor = Memory(rows((factor_size,), here.dtype), scratch)
        self._products = Memory(rows((products_size,), here.dtype), scratch)
        self._outputs = _tensor(tiling.matrices.outputs, here.dtype)
        self._threads = share_threads()

    def launches(self) -> Iterator[Launch]:
        """Yield the launches in order."""
        # Blocks with equal sizes have equal primitives and weights.  A local variable: as an
        # attribute it would be a cycle, which keeps memory until the collector runs.
        multiplication_of = cache(self._multiplication_of)
        for block in self._blocks:
            transform = self._tiling.transform(block)
            read = self._tiling.rows_read(block)
            images = self._source[_images(block), read.start : read.stop]
            operand = Memory(_layout(transform, transform.inputs[0]), images)
            factor = Memory(_layout(transform, transform.output), self._factor)
            for number in range(self._tiling.factors):
                multiplication = self._tiling.multiplication(block, number)
                start = number * self._tiling.pitch(block) * self._result.itemsize
                layout = _layout(multiplication, multiplication.output)
                product = Memory(layout, self._products, start)
                yield self._launch(*_transform(transform, number, self._threads), operand, factor)
                yield self._launch(*multiplication_of(multiplication, number), factor, product)
            for part in self._tiling.parts(block):
                yield self._summed(block, part)

    def _launch(
        self, description: Description, weights: Weights, source: Memory, destination: Memory
    ) -> Launch:
        memories = (Argument.SOURCE, source), (Argument.DESTINATION, destination), *weights
        # Launches run one after another: each may use the scratch memory of those before it.
        with self._scratch.reused():
            return launch(description, memories, self._scratch)

    def _multiplication_of(self, here: Problem, number: int) -> tuple[Description, Weights]:
        packed_for = self._packed_for[number]
        description = DIRECT.fitting(packed_for, here)
        packed = _numbered(self._packed, number)
        return description, DIRECT.weights(description, packed_for, packed)

    def _summed(self, block: Block, part: Part) -> Launch:
        tiling = self._tiling
        sums = _sums(tiling.problem, block._replace(image=0, tile=0), part, self._threads)
        first = (block.tile + part.tile) * tiling.rows
        tiles, *added = (
            maps[_images(block), first : first + part.tiles * part.rows].view(
                block.images, part.tiles, part.rows, tiling.row
            )
            for maps in (self._result, *self._added)
        )
        outputs = self._outputs[: part.rows]
        start = part.tile * tiling.row * tiles.itemsize
        memories = [
            (Argument.SOURCE, Memory(sums.matrix, outputs.view(1, 1, *outputs.shape))),
            (Argument.WEIGHTS, Memory(sums.products, self._products, start)),
            (Argument.DESTINATION, Memory(sums.result, tiles)),
            *((Argument.FIRST_POST_OP, Memory(sums.result, one)) for one in added),
        ]
        with self._scratch.reused():
            return launch(sums.description, memories, self._scratch)


class _Sums(NamedTuple):
    """The matrix product that computes the rows of tiles from their products.

    Attributes:
        description: of the primitive.
        matrix, products, result: the layouts of its operands and of its result.
    """

    description: Description
    matrix: Layout
    products: Layout
    result: Layout


@lru_cache(256)
def _sums(problem: Problem, block: Block, part: Part, threads: int) -> _Sums:
    """Return the product for a part of a block; a primitive is created for a number of threads."""
    tiling = Tiling(problem)
    dtype, row, pitch = problem.dtype, tiling.row, tiling.pitch(block)
    images, height = block.images, problem.output[0]
    matrix = rows((1, 1, part.rows, tiling.factors), dtype)
    products = strided(
        (images, part.tiles, tiling.factors, row), (block.tiles * row, row, pitch, 1), dtype
    )
    result = strided(
        (images, part.tiles, part.rows, row), (height * row, tiling.rows * row, row, 1), dtype
    )
    added = result if isinstance(tiling.op, ConvAdd) else None
    steps = steps_after(tiling.op)
    description = matrix_product(matrix, products, result, steps=steps, added=added)
    return _Sums(description, matrix, products, result)


@lru_cache(512)
def _transform(transform: Problem, number: int, threads: int) -> tuple[Description, Weights]:
    """Return the convolution that computes a factor, and the matrix's row as its weights.

    A primitive is created for a number of threads, so ``threads`` is part of the key.
    """
    op = conv_of(transform)
    matrices = transforms(op.stride[0], op.kernel[0] - op.stride[0] + 1)
    row = _tensor(matrices.data, transform.dtype)[number]
    taps = row.view(-1, 1).expand(transform.output.channels, 1, -1, 1)
    packed = DIRECT.pack(transform, {"weight": taps})
    description = DIRECT.fitting(transform, transform)
    return description, DIRECT.weights(description, transform, packed)


def _tiling(problem: Problem) -> Tiling:
    turned = upright(problem)
    assert turned is not None
    return Tiling(turned)


def _multiplications(tiling: Tiling) -> Iterator[tuple[int, Problem]]:
    """Yield the number of each factor, and the problem for which its weights are packed."""
    block = next(tiling.blocks())
    for number in range(tiling.factors):
        yield number, tiling.multiplication(block, number)


def _numbered(packed: Tensors, number: int) -> Tensors:
    """Return the packed tensors of one factor."""
    names = ("weight", "bias")
    return {name: packed[f"{name}{number}"] for name in names if f"{name}{number}" in packed}


def _tensor(matrix: Matrix, dtype: torch.dtype) -> Tensor:
    return torch.tensor([[float(x) for x in row] for row in matrix], dtype=dtype, device="cpu")


def _elements(problem: Problem) -> int:
    return problem.output.elements * problem.batch


def _layout(problem: Problem, shape: Shape) -> Layout:
    return activations(problem.batch, shape, problem.dtype)


def _images(block: Block) -> slice:
    return slice(block.image, block.image + block.images)

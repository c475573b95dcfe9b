"""Convolution with fewer products, in tiles of rows (Winograd's method along one axis).

Four rows of the result of a 3x3 convolution are computed from six rows of the operand.  Six
depthwise convolutions with one column of taps compute the factors of all tiles, B d: six maps with
a quarter of the rows.  Six convolutions with 1x3 kernels multiply them by the factors of the
weights, G g.  One matrix product per tile computes its rows from the products.  Together these need
half of the products of the 3x3 convolution: 6 x 3 instead of 4 x 9 per tile and pair of channels.

All of them are primitives of oneDNN.  The error is about twice that of a direct convolution; it
would be ten times as large if both axes were transformed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from netspec.backends.cpu.conv import OneDnnConv, conv_of, dense_shape, steps_after
from netspec.backends.cpu.direct import Direct, copied
from netspec.backends.cpu.implementation import required, safe_domain
from netspec.backends.cpu.onednn.layouts import Layout, activations, rows, strided
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
from netspec.backends.cpu.toom_cook import Matrix
from netspec.ir.growth import Growth
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem, Tensors

DIRECT = OneDnnConv()


class Winograd(Direct):
    """act(b + w * x) with fewer products than a direct convolution needs."""

    name = "winograd"

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
        return tiling.estimate() < 0.9 * tiling.problem.operations / 2

    def domain(self, problem: Problem, growth: Growth) -> float:
        # Sums of the transforms are this much larger than those of a direct convolution.
        larger = _tiling(problem).matrices.growth
        if not growth.gain * larger < torch.finfo(problem.dtype).max:
            return -inf  # a factor of the weights may be infinite
        return safe_domain(problem, growth) / larger

    def describe(self, problem: Problem) -> None:
        tiling = _tiling(problem)
        for block in {block._replace(image=0): block for block in tiling.blocks()}.values():
            DIRECT.describe(tiling.transform(block))
            DIRECT.describe(tiling.multiplication(block, 0))
            for part in tiling.parts(block):
                _Sums.of(tiling, block, part)

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
        """Check nothing here: all tensors are bound, and ``Memory`` checks their layouts."""

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
        weights = {
            number: (part, _numbered(packed, number))
            for number, part in _multiplications(_tiling(problem))
        }
        tiling = _tiling(replace(problem, batch=len(y)))
        here, blocks = tiling.problem, list(tiling.blocks())
        source, result = (
            tensor.view(here.batch, *shape)
            for tensor, shape in ((x[0], here.inputs[0]), (y, here.output))
        )
        filters = [
            row.expand(here.inputs[0].channels, 1, -1).unsqueeze(-1)
            for row in _tensor(tiling.matrices.data, here.dtype)
        ]
        factors_size = max(_elements(tiling.transform(block)) for block in blocks)
        products_size = tiling.factors * max(tiling.pitch(block) for block in blocks)
        factors = Memory(rows((factors_size,), here.dtype), scratch)
        products = Memory(rows((products_size,), here.dtype), scratch)
        launches: list[Launch] = []
        for block in blocks:
            transform, read = tiling.transform(block), tiling.rows_read(block)
            images = source[block.image : block.image + block.images, read.start : read.stop]
            operand = Memory(_layout(transform, transform.inputs[0]), images)
            factor = Memory(_layout(transform, transform.output), factors)
            for number, (packed_for, tensors) in weights.items():
                multiplication = tiling.multiplication(block, number)
                product = Memory(
                    _layout(multiplication, multiplication.output),
                    products,
                    number * tiling.pitch(block) * here.dtype.itemsize,
                )
                filter_ = {"weight": DIRECT.pack(transform, {"weight": filters[number]})["weight"]}
                calls = (
                    (transform, transform, filter_, operand, factor),
                    (packed_for, multiplication, tensors, factor, product),
                )
                for call in calls:
                    with scratch.reused():
                        launches.append(DIRECT.launch(*call, scratch))
            for part in tiling.parts(block):
                with scratch.reused():
                    launches.append(_summed(tiling, block, part, products, result, scratch))
        return launches


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


class _Sums(NamedTuple):
    """The matrix product that computes rows of the result from products.

    Attributes:
        description: of the primitive.
        matrix, products, result: the layouts of its operands and of its result.
    """

    description: Description
    matrix: Layout
    products: Layout
    result: Layout

    @classmethod
    def of(cls, tiling: Tiling, block: Block, part: Part) -> _Sums:
        dtype, row, pitch = tiling.problem.dtype, tiling.row, tiling.pitch(block)
        images, height = block.images, tiling.problem.output[0]
        matrix = rows((1, 1, part.rows, tiling.factors), dtype)
        products = strided(
            (images, part.tiles, tiling.factors, row), (block.tiles * row, row, pitch, 1), dtype
        )
        result = strided(
            (images, part.tiles, part.rows, row), (height * row, tiling.rows * row, row, 1), dtype
        )
        description = matrix_product(matrix, products, result, steps=steps_after(tiling.op))
        return cls(description, matrix, products, result)


def _summed(
    tiling: Tiling, block: Block, part: Part, products: Memory, result: Tensor, scratch: Scratch
) -> Launch:
    sums = _Sums.of(tiling, block, part)
    first = (block.tile + part.tile) * tiling.rows
    images = result[block.image : block.image + block.images]
    tiles = images[:, first : first + part.tiles * part.rows].view(
        len(images), part.tiles, part.rows, tiling.row
    )
    outputs = _tensor(tiling.matrices.outputs[: part.rows], tiling.problem.dtype)
    start = part.tile * tiling.row * tiling.problem.dtype.itemsize
    memories = [
        (Argument.SOURCE, Memory(sums.matrix, outputs.view(1, 1, *outputs.shape))),
        (Argument.WEIGHTS, Memory(sums.products, products, start)),
        (Argument.DESTINATION, Memory(sums.result, tiles)),
    ]
    return launch(sums.description, memories, scratch)

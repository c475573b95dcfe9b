"""Concatenation by a primitive of oneDNN."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from torch import Tensor

from netspec.backends.cpu.direct import Direct
from netspec.backends.cpu.onednn.layouts import activations
from netspec.backends.cpu.onednn.primitives import (
    Argument,
    Description,
    Launch,
    Memory,
    concatenation,
    launch,
)
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.growth import Growth
from netspec.lowering.implementation import Problem, Tensors

MANY_PIXELS = 4096
"""The number of pixels of a batch from which PyTorch concatenates 16-bit maps faster: the library
calls a function for each operand's part of each pixel.  With 5,800 to 24,000 pixels (batches of 8)
it took 1.2 to 2.2 times as long, and whole nets gained 1 to 5 % of their time; with up to 3,025
(batches of 1) whole nets took the same time with both.  In float32 neither is faster everywhere."""


class OneDnnConcat(Direct):
    """Concatenation along the channels, all operands in one launch."""

    def pays(self, problem: Problem) -> bool:
        return problem.dtype.itemsize > 2 or problem.batch * problem.output.pixels < MANY_PIXELS

    def domain(self, problem: Problem, growth: Growth) -> float:
        return inf

    def describe(self, problem: Problem) -> None:
        _described(problem, problem.batch)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        sources = [
            (
                Argument.FIRST_OF_SOURCES + i,
                Memory(activations(len(y), shape, problem.dtype), operand),
            )
            for i, (shape, operand) in enumerate(zip(problem.inputs, x, strict=True))
        ]
        whole = Memory(activations(len(y), problem.output, problem.dtype), y)
        memories = [*sources, (Argument.DESTINATION, whole)]
        return [launch(_described(problem, len(y)), memories, scratch)]


def _described(problem: Problem, batch: int) -> Description:
    sources = [activations(batch, shape, problem.dtype) for shape in problem.inputs]
    return concatenation(sources, activations(batch, problem.output, problem.dtype))

"""Operators without a kernel of netspec, by plain PyTorch, and copies."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from netspec.backends.cuda.implementation import Call, CudaImplementation, write
from netspec.backends.memory import nchw
from netspec.ir.ops.rbf import RadialBasis
from netspec.lowering.implementation import Problem, Tensors
from netspec.lowering.plan import Ability


class Plain(CudaImplementation):
    """Any operator by its reference; the result is copied to its buffer."""

    name = "torch"
    ability = Ability(into_slices=True)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        op, inputs, tensors = problem.op, problem.inputs, dict(packed)
        operands = [nchw(operand) for operand in x]
        return [lambda: write(op.reference(inputs, *operands, **tensors), y)]


class PlainRbf(CudaImplementation):
    """Squared distances from codes.

    The codes are copied to the device when the step is bound, because a CUDA graph cannot capture a
    copy from the CPU's memory.
    """

    name = "torch"
    ability = Ability(into_slices=True)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(problem.op, RadialBasis)
        codes = x[0].new_tensor([list(picture) for picture in problem.op.codes.pictures])
        image = nchw(x[0])
        return [lambda: write((image.flatten(1).unsqueeze(1) - codes).square().sum(2), y)]


class CopyParts(CudaImplementation):
    """A concatenation: copies each part that was not computed in place to its slice in y."""

    name = "copy"
    ability = Ability(into_slices=True)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        return [lambda: [destination.copy_(part) for part, destination in zip(x, y, strict=True)]]


class CopyFlat(CudaImplementation):
    """A flatten: copies a map [N, H, W, C] to the vector of its channels, rows and columns."""

    name = "copy"
    ability = Ability(into_slices=True)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        maps = y[0].view(len(y[0]), *problem.inputs[0].torch)
        return [lambda: maps.copy_(nchw(x[0]))]

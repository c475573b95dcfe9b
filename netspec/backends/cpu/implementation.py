"""The base class of all implementations of the CPU backend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.scratch import Scratch
from netspec.ir.growth import Growth
from netspec.lowering.implementation import Implementation, Problem, Tensors
from netspec.runtime.gate import require, require_apart, require_memory

Call = Callable[[], object]
"""Something that runs: a launch of a primitive, or a few operators of PyTorch."""


class CpuImplementation(Implementation):
    """Computes an operator from given memory into given memory."""

    def growth(self, problem: Problem, tensors: Tensors) -> Growth:
        return problem.op.growth(problem.inputs, **tensors)

    def require_packed(self, problem: Problem, packed: Tensors) -> None:
        """Raise TypeError or ValueError if these are not the tensors that ``pack`` returns."""
        required(problem, packed)

    @abstractmethod
    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        """Return the calls, in order, with everything fixed.

        Args:
            problem: the operator and its sizes; the batch is that of the operands.
            packed: the tensors that it holds.
            x: its operands, dense maps [N, H, W, C] and vectors [N, C].
            y: the dense tensor that the result is written to.
            scratch: asked for memory here, which it hands out before the calls run.
        """


def safe_domain(problem: Problem, growth: Growth) -> float:
    """Return the magnitude up to which nothing overflows, in whatever order sums are taken.

    A window's sum that a pass put after a convolution, and rounding, have a factor of 4096.
    """
    return growth.domain(torch.finfo(problem.dtype).max / 4096)


def required(problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
    """Return the tensors that an operator holds.

    Raises:
        TypeError, ValueError: one is not of its sizes or its type, or not in memory.
    """
    described = {**problem.op.parameters(problem.inputs), **problem.op.buffers(problem.inputs)}
    return {
        name: require(tensors[name], name, device="cpu", dtype=problem.dtype, sizes=parameter.shape)
        for name, parameter in described.items()
    }


def bind(
    implementation: CpuImplementation,
    problem: Problem,
    packed: Tensors,
    x: Sequence[Tensor],
    y: Tensor,
    scratch: Scratch,
) -> Sequence[Call]:
    """Return what ``implementation.bind`` does, of tensors that are what ``problem`` says.

    Raises:
        TypeError, ValueError: one is not, or not dense, or not in memory.
    """
    batch = len(require_memory(y, "the result"))
    _require_dense(y, "the result", (batch, *problem.output), problem.dtype)
    for number, (operand, shape) in enumerate(zip(x, problem.inputs, strict=True)):
        _require_dense(operand, f"operand {number}", (batch, *shape), problem.dtype)
    implementation.require_packed(problem, packed)
    for number, operand in enumerate(x):
        require_apart([(f"operand {number}", operand), ("the result", y)])
    return implementation.bind(problem, packed, x, y, scratch)


def _require_dense(x: object, label: str, sizes: Sequence[int], dtype: torch.dtype) -> None:
    """Raise TypeError or ValueError unless this is a tensor of these sizes without gaps."""
    tensor = require(x, label, device="cpu", dtype=dtype, sizes=sizes)
    if not tensor.is_contiguous():
        raise ValueError(f"{label} is not dense: use .contiguous()")

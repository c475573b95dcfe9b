"""The base class of all implementations of the CPU backend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.onednn.library import EXECUTE, require_success
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.growth import Growth
from netspec.lowering.implementation import Implementation, Problem, Tensors
from netspec.runtime.gate import require, require_apart, require_memory

Call = Callable[[], int | None]
"""The launch of a primitive, which returns a status, or a few operators of PyTorch."""


def run(calls: Iterable[Call]) -> None:
    """Run calls in order.

    Raises:
        OneDnnError: a launch returned another status than success.
    """
    for call in calls:
        status = call()
        if status:
            require_success(status, EXECUTE)


def into(y: Tensor, compute: Callable[[], Tensor]) -> Call:
    """Return a call that computes a tensor and copies it into ``y``."""

    def call() -> None:
        y.copy_(compute())

    return call


class CpuImplementation(Implementation):
    """An implementation that reads and writes given memory."""

    def growth(self, problem: Problem, tensors: Tensors) -> Growth:
        return problem.op.growth(problem.inputs, **tensors)

    def pays(self, problem: Problem) -> bool:
        """Return False if the next implementation in the table is expected to be faster."""
        return True

    def require_packed(self, problem: Problem, packed: Tensors) -> None:
        """Raise TypeError or ValueError if these are not the tensors that ``pack`` returns."""
        required(problem, packed)

    @abstractmethod
    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        """Return the calls that compute the operator, in order.

        Args:
            problem: the operator and its sizes; the batch size is that of the operands.
            packed: its packed tensors.
            x: its operands, dense maps [N, H, W, C] and vectors [N, C].
            y: the dense tensor for the result.
            scratch: gives temporary memory.  It is requested here and available when calls run.
        """


def safe_domain(problem: Problem, growth: Growth) -> float:
    """Return the magnitude of operands up to which no sum overflows, in any order of its terms.

    The factor of 4096 leaves room for the sum of a window that a pass moved after a convolution,
    and for rounding.
    """
    return growth.domain(torch.finfo(problem.dtype).max / 4096)


def required(problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
    """Return the parameters and buffers of an operator, after a check.

    Raises:
        TypeError, ValueError: one has the wrong sizes or type, or is not in memory.
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
    """Check the tensors of a problem, then return ``implementation.bind``.

    The check protects memory: the library would read and write outside of tensors of other sizes.

    Raises:
        TypeError, ValueError: a tensor does not have the sizes or the type of ``problem``, is not
            dense or not in memory, or the result overlaps an operand.
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
    """Raise TypeError or ValueError unless this is a contiguous tensor of these sizes."""
    tensor = require(x, label, device="cpu", dtype=dtype, sizes=sizes)
    if not tensor.is_contiguous():
        raise ValueError(f"{label} is not dense: use .contiguous()")

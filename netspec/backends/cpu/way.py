"""The base class of all implementations of the CPU backend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.scratch import Scratch
from netspec.lowering.implementation import Held, Implementation, Work
from netspec.runtime.gate import require, require_apart, require_memory

Call = Callable[[], object]
"""Something that runs: a launch of a primitive, or a few operators of PyTorch."""


class Way(Implementation):
    """One way to compute an operator from given memory into given memory."""

    def require_packed(self, work: Work, packed: Held) -> None:
        """Raise TypeError or ValueError if these are not the tensors that ``pack`` returns."""
        required(work, packed)

    @abstractmethod
    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        """Return the calls, in order, with everything fixed.

        Args:
            work: the operator and its sizes; the batch is that of the operands.
            packed: the tensors that it holds.
            x: its operands, dense maps [N, H, W, C] and vectors [N, C].
            y: the dense tensor that the result is written to.
            scratch: asked for memory here, which it hands out before the calls run.
        """


def required(work: Work, held: Held) -> dict[str, Tensor]:
    """Return the tensors that an operator holds.

    Raises:
        TypeError, ValueError: one is not of its sizes or its type, or not in memory.
    """
    described = {**work.op.parameters(work.inputs), **work.op.buffers(work.inputs)}
    return {
        name: require(held[name], name, device="cpu", dtype=work.dtype, sizes=parameter.shape)
        for name, parameter in described.items()
    }


def bind(
    way: Way, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
) -> Sequence[Call]:
    """Return what ``way.bind`` does, of tensors that are what ``work`` says.

    Raises:
        TypeError, ValueError: one is not, or not dense, or not in memory.
    """
    batch = len(require_memory(y, "the result"))
    _require_dense(y, "the result", (batch, *work.output), work.dtype)
    for number, (operand, shape) in enumerate(zip(x, work.inputs, strict=True)):
        _require_dense(operand, f"operand {number}", (batch, *shape), work.dtype)
    way.require_packed(work, packed)
    for number, operand in enumerate(x):
        require_apart([(f"operand {number}", operand), ("the result", y)])
    return way.bind(work, packed, x, y, scratch)


def _require_dense(x: object, label: str, sizes: Sequence[int], dtype: torch.dtype) -> None:
    """Raise TypeError or ValueError unless this is a tensor of these sizes without gaps."""
    tensor = require(x, label, device="cpu", dtype=dtype, sizes=sizes)
    if not tensor.is_contiguous():
        raise ValueError(f"{label} is not dense: use .contiguous()")

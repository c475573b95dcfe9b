"""What every implementation of the CPU backend is."""

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
        """The calls, in order, with everything fixed.

        Args:
            work: the operator and its sizes; the batch is that of the operands.
            packed: the tensors that it holds.
            x: its operands, dense maps [N, H, W, C] and vectors [N, C].
            y: where the result goes, as dense.
            scratch: where to ask for memory; it is there when the calls run, not before.
        """


def required(work: Work, held: Held) -> dict[str, Tensor]:
    """Return the tensors that an operator holds.

    Raises:
        TypeError, ValueError: one is not of its sizes or its type, or not in memory.
    """
    described = {**work.op.parameters(work.inputs), **work.op.buffers(work.inputs)}
    return {
        name: require(held[name], name, device="cpu", dtype=work.dtype, sizes=one.shape)
        for name, one in described.items()
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
    for number, (one, shape) in enumerate(zip(x, work.inputs, strict=True)):
        _require_dense(one, f"operand {number}", (batch, *shape), work.dtype)
    way.require_packed(work, packed)
    for number, one in enumerate(x):
        require_apart([(f"operand {number}", one), ("the result", y)])
    return way.bind(work, packed, x, y, scratch)


def _require_dense(x: object, what: str, sizes: Sequence[int], dtype: torch.dtype) -> None:
    """Raise TypeError or ValueError if this is no tensor of these sizes without gaps."""
    tensor = require(x, what, device="cpu", dtype=dtype, sizes=sizes)
    if not tensor.is_contiguous():
        raise ValueError(f"{what} is not dense: use .contiguous()")

"""What every implementation of the CPU backend is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.scratch import Scratch
from netspec.backends.gate import require
from netspec.backends.implementation import Held, Implementation, Work

Call = Callable[[], object]
"""Something that runs: a launch of a primitive, or a few operators of PyTorch."""


class Way(Implementation):
    """One way to compute an operator from given memory into given memory."""

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
    """Return what ``way.bind`` does, of operands and a result that are what ``work`` says.

    Raises:
        TypeError, ValueError: one is not, or not dense, or not in memory.
    """
    batch = len(y) if isinstance(y, Tensor) and y.dim() else 0
    _require_dense(y, "the result", (batch, *work.output), work.dtype)
    for number, (one, shape) in enumerate(zip(x, work.inputs, strict=True)):
        _require_dense(one, f"operand {number}", (batch, *shape), work.dtype)
    return way.bind(work, packed, x, y, scratch)


def _require_dense(x: object, what: str, sizes: Sequence[int], dtype: torch.dtype) -> None:
    """Raise TypeError or ValueError if this is no tensor of these sizes without gaps."""
    tensor = require(x, what, device="cpu", dtype=dtype, sizes=sizes)
    if not tensor.is_contiguous():
        raise ValueError(f"{what} is not dense: use .contiguous()")

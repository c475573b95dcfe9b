"""What every implementation of the CPU backend is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor

from netspec.backends.cpu.scratch import Scratch
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

"""What every implementation of the CPU backend is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor

from netspec.backends.implementation import Held, Implementation, Work

Call = Callable[..., Tensor]
"""From operands to the result; maps are [N, C, H, W], channels-last in memory."""


class Way(Implementation):
    """One way to compute an operator on the CPU."""

    @abstractmethod
    def bind(self, work: Work, packed: Held) -> Call:
        """The call, with everything but the operands fixed."""

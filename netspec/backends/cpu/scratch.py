"""Memory that steps need while they run, shared by all steps of a bound plan."""

from __future__ import annotations

from collections.abc import Callable

import torch

from netspec.backends.cpu.pages import ALIGNMENT, PAGES
from netspec.ir.shapes import rounded_up
from netspec.runtime.gate import address, axes_of


class Scratch:
    """As many bytes as the greediest step needs: steps run one after the other.

    Room is asked for while steps are bound, and handed out once all are.
    """

    def __init__(self) -> None:
        self.size = 0
        """Bytes."""
        self._taken = 0
        self._waiting: list[tuple[int, Callable[[int], object]]] = []

    def begin(self) -> None:
        """A step begins: what those before it asked for may be written over."""
        self._taken = 0

    def take(self, size: int, use: Callable[[int], object]) -> None:
        """Ask for ``size`` bytes for the step; ``use`` will be given the address."""
        self._waiting.append((self._taken, use))
        self._taken += rounded_up(size, ALIGNMENT)
        self.size = max(self.size, self._taken)

    def hand_out(self) -> None:
        """Get the memory, zeros, and tell everybody where theirs is."""
        self._memory = PAGES.empty((self.size,), torch.uint8).zero_()
        axes = axes_of((self.size,), (1,))
        start = address(self._memory, "scratch", torch.uint8, axes) if self.size else 0
        for offset, use in self._waiting:
            use(start + offset)
        self._waiting.clear()

"""Memory of primitives that is not a tensor: temporary memory, shared by all steps, and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from netspec.backends.cpu.pages import ALIGNMENT, PAGES
from netspec.ir.shapes import rounded_up
from netspec.runtime.gate import address, axes_of


class Caller:
    """The owner of memory that is another one at each launch, whose address is set before it."""


class Scratch:
    """Memory of the size that the largest step needs.

    All steps share it, because they run one at a time.

    Steps request memory while they are bound.  They get its address after all steps are bound, when
    the size is known.
    """

    def __init__(self) -> None:
        self.size = 0
        """The size in bytes."""
        self._taken = 0
        self._waiting: list[tuple[int, Callable[[int], object]]] = []

    def begin(self) -> None:
        """Begin a new step: it may overwrite the memory of earlier steps."""
        self._taken = 0

    def take(self, size: int, use: Callable[[int], object]) -> None:
        """Request ``size`` bytes for the current step; ``use`` is called later with the address."""
        self._waiting.append((self._taken, use))
        self._taken += rounded_up(size, ALIGNMENT)
        self.size = max(self.size, self._taken)

    @contextmanager
    def reused(self) -> Iterator[None]:
        """Let later requests of the step use the memory of the requests in this block again."""
        taken = self._taken
        yield
        self._taken = taken

    def hand_out(self) -> None:
        """Allocate the memory, fill it with zeros, and call each ``use`` with its address."""
        self._memory = PAGES.empty((self.size,), torch.uint8).zero_()
        axes = axes_of((self.size,), (1,))
        start = address(self._memory, "scratch", torch.uint8, axes) if self.size else 0
        for offset, use in self._waiting:
            use(start + offset)
        self._waiting.clear()

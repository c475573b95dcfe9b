"""One arena for all activations: the offset of each buffer, from its lifetime.

Greedy by size (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
inference"): the largest buffer is placed first. Each buffer is placed in the smallest gap that fits
it between the buffers that are alive at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from netspec.ir.shapes import rounded_up

ALIGNMENT = 64
"""Alignment of buffers in elements: 128 bytes in half precision.

That is a whole number of cache lines, so two buffers never share one. Triton's kernels are compiled
for pointers that 16 divides.
"""


class Lifetime(NamedTuple):
    """A buffer of ``size`` elements, written by step ``first`` and last read by step ``last``."""

    size: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Return True if a step needs both buffers."""
        return self.first <= other.last and other.first <= self.last


class Arena(NamedTuple):
    """The layout of all buffers, in elements.

    Attributes:
        offsets: of each buffer.
        size: of the arena.
        bound: a lower bound of ``size``.
        total: the sum of the sizes of all buffers.
    """

    offsets: tuple[int, ...]
    size: int
    bound: int
    total: int


def arrange(buffers: Sequence[Lifetime]) -> Arena:
    """Place buffers such that those that are alive at the same time do not overlap."""
    rounded = [b._replace(size=rounded_up(b.size, ALIGNMENT)) for b in buffers]
    offsets = [0] * len(rounded)
    placed: list[int] = []
    # Ties are broken by the number, so that the same net always has the same plan: loading an
    # artifact compares plans.
    for i in sorted(range(len(rounded)), key=lambda i: (-rounded[i].size, i)):
        size = rounded[i].size
        around = sorted((offsets[j], j) for j in placed if rounded[i].meets(rounded[j]))
        at, smallest, end = None, None, 0
        for offset, j in around:
            gap = offset - end
            if gap >= size and (smallest is None or gap < smallest):
                at, smallest = end, gap
            end = max(end, offset + rounded[j].size)
        offsets[i] = end if at is None else at
        placed.append(i)
    size = max((o + b.size for o, b in zip(offsets, rounded, strict=True)), default=0)
    return Arena(tuple(offsets), size, most_alive(rounded), sum(b.size for b in rounded))


def most_alive(buffers: Sequence[Lifetime]) -> int:
    """Return the largest number of elements that one step needs: a lower bound of the arena."""
    changes: dict[int, int] = {}
    for size, first, last in buffers:
        changes[first] = changes.get(first, 0) + size
        changes[last + 1] = changes.get(last + 1, 0) - size
    alive = most = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most

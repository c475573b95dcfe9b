"""The ranges of values for which a plan computes the same as the reference, and their guards.

A library's ReLU turns NaN into 0, and a sum may overflow in one order and not in another.  Neither
can happen while values are so small that nothing overflows.  So each step has a *domain*, the
largest magnitude of operands for which it computes the same as the reference, and a *growth*, a
bound of its result.  A *guard* is a buffer whose values are compared with a limit at each run.  A
guard is needed where the bounds that follow from earlier guards exceed a domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import NamedTuple

from netspec.ir.growth import Growth
from netspec.lowering.plan import Plan

LIMIT = 2.0**20
"""The usual limit of a guard.

It is far above pixels and activations, so that normal images never run in the slow plain net.  It
is far below float32's largest number, 2^128, so that one guard is enough for many layers.
"""


class Range(NamedTuple):
    """The domain of a step (see above), and the bound of its result."""

    domain: float
    growth: Growth


class Guard(NamedTuple):
    """A check that the values of a buffer are in [-limit, limit] after step ``after``.

    Step -1 writes the images.  A limit of -infinity means that no value is accepted.
    """

    after: int
    buffer: int
    limit: float


class OutOfRangeError(Exception):
    """A guard found a value outside its limit."""


def guards(plan: Plan, ranges: Mapping[str, Range]) -> list[Guard]:
    """Return guards that keep every step of a plan in its domain.

    The guards are chosen to be few, and on small buffers, because each one reads its buffer at
    every run.

    Args:
        plan: the plan.
        ranges: the range of each stage that has a step.
    """
    return _Guarding(plan, ranges).guards()


class _Guarding:
    def __init__(self, plan: Plan, ranges: Mapping[str, Range]) -> None:
        self.plan = plan
        self.ranges = [ranges[step.stage] for step in plan.steps]
        self.reads = [[plan.slots[i].buffer for i in step.reads] for step in plan.steps]
        self.writes = [[plan.slots[i].buffer for i in step.writes] for step in plan.steps]
        self.written = {plan.slots[i].buffer: -1 for i in plan.inputs}
        """The last step that writes each buffer: a guard must check it after that step, since the
        parts of a concatenation are written by several steps."""
        for number, buffers in enumerate(self.writes):
            self.written |= dict.fromkeys(buffers, number)
        self.limits: dict[int, float] = {}

    def guards(self) -> list[Guard]:
        if any(domain == -inf for domain, _ in self.ranges):  # a parameter overflows alone
            return [Guard(-1, self.plan.slots[self.plan.inputs[0]].buffer, -inf)]
        while (step := self._leaves_domain({}, 0, len(self.reads))) is not None:
            waist = self._waist(step)
            if waist is not None:
                self.limits[waist] = LIMIT
                continue
            # No single buffer helps: guard all operands of the step itself.
            domain, _ = self.ranges[step]
            for buffer in self.reads[step]:
                self.limits[buffer] = min(self.limits.get(buffer, LIMIT), domain)
        return sorted(
            Guard(self.written[buffer], buffer, limit) for buffer, limit in self.limits.items()
        )

    def _leaves_domain(self, bounds: dict[int, float], first: int, end: int) -> int | None:
        """Return the first step of a range whose operands may be outside its domain.

        Args:
            bounds: the bounds of buffers so far; a buffer not in it has the limit of its guard.
            first, end: the range of steps.
        """
        for number in range(first, end):
            domain, growth = self.ranges[number]
            x = max(
                bounds[b] if b in bounds else self.limits.get(b, inf) for b in self.reads[number]
            )
            if x > domain:
                return number
            y = growth.bound(x)
            # Several steps may write slices of one buffer: its bound is the largest of theirs.
            for buffer in self.writes[number]:
                largest = max(y, bounds.get(buffer, 0.0))
                bounds[buffer] = min(largest, self.limits.get(buffer, inf))
        return None

    def _waist(self, step: int) -> int | None:
        """Return the smallest buffer on which a guard at ``LIMIT`` keeps a step in its domain.

        Everything that the step reads must be computed from this buffer only.  Return None if there
        is no such buffer.
        """
        sizes = [buffer.shape.elements for buffer in self.plan.buffers]
        waists = [waist for waist in self._waists(step) if waist[1] not in self.limits]
        waists.sort(key=lambda waist: (sizes[waist[1]], -waist[0]))
        for after, buffer in waists:  # usually the first one is enough
            if self._leaves_domain({buffer: LIMIT}, after + 1, step + 1) is None:
                return buffer
        return None

    def _waists(self, end: int) -> Iterator[tuple[int, int]]:
        """Yield (step, buffer) where later steps read only this one of the buffers so far.

        Only steps before ``end`` are considered.
        """
        ends: dict[int, int] = {}
        for number, buffers in enumerate(self.reads):
            ends |= dict.fromkeys(buffers, number)
        alive = {buffer for buffer, number in self.written.items() if number == -1}
        for after in range(-1, end):
            if after >= 0:
                alive.update(self.writes[after])
            alive = {buffer for buffer in alive if ends.get(buffer, -1) > after}
            if len(alive) == 1:
                (buffer,) = alive
                if self.written[buffer] <= after:
                    yield after, buffer

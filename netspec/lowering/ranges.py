"""The ranges in which a plan computes what its net means, and the guards that watch over them.

A library's ReLU makes 0 of NaN, and sums that overflow in one order do not in another.  Neither
shows while values stay small enough that nothing can overflow.  So each step has a *domain*, the
magnitude of operands up to which it is right, and a *growth*, a bound of its result; a *guard* is a
buffer whose values are held against a limit at each run.  Guards stand where bounds that follow
from those before them would leave a domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import NamedTuple

from netspec.ir.growth import Growth
from netspec.lowering.plan import Plan

LIMIT = 2.0**20
"""The limit of a guard where the steps after it allow as much: far above pixels and activations."""


class Range(NamedTuple):
    """What a step takes and gives: the magnitude up to which it is right, and its growth."""

    domain: float
    growth: Growth


class Guard(NamedTuple):
    """The values of a buffer lie within [-limit, limit] once step ``after`` has run; -1 is what
    writes the images.  With a limit of -infinity none do."""

    after: int
    buffer: int
    limit: float


class OutOfRangeError(Exception):
    """A guard found a value beyond its limit."""


def guards(plan: Plan, ranges: Mapping[str, Range]) -> list[Guard]:
    """Return the guards with which every step of a plan stays in its domain; few and small ones.

    Args:
        plan: the steps.
        ranges: by stage.
    """
    return _Guarding(plan, ranges).guards()


class _Guarding:
    def __init__(self, plan: Plan, ranges: Mapping[str, Range]) -> None:
        self.plan = plan
        self.ranges = [ranges[step.stage] for step in plan.steps]
        self.reads = [[plan.slots[i].buffer for i in step.reads] for step in plan.steps]
        self.writes = [[plan.slots[i].buffer for i in step.writes] for step in plan.steps]
        self.written = {plan.slots[i].buffer: -1 for i in plan.inputs}
        """The last step that writes a buffer."""
        for number, buffers in enumerate(self.writes):
            self.written |= dict.fromkeys(buffers, number)
        self.limits: dict[int, float] = {}

    def guards(self) -> list[Guard]:
        if any(domain == -inf for domain, _ in self.ranges):
            return [Guard(-1, self.plan.slots[self.plan.inputs[0]].buffer, -inf)]
        while (step := self._leaves_domain({}, 0, len(self.reads))) is not None:
            waist = self._waist(step)
            if waist is not None:
                self.limits[waist] = LIMIT
                continue
            domain, _ = self.ranges[step]
            for buffer in self.reads[step]:
                self.limits[buffer] = min(self.limits.get(buffer, LIMIT), domain)
        return sorted(
            Guard(self.written[buffer], buffer, limit) for buffer, limit in self.limits.items()
        )

    def _leaves_domain(self, bounds: dict[int, float], first: int, end: int) -> int | None:
        """Return the first of some steps whose operands may lie outside its domain.

        Args:
            bounds: of buffers; of others, that is what their guard lets pass.
            first, end: the steps.
        """
        for number in range(first, end):
            domain, growth = self.ranges[number]
            x = max(
                bounds[b] if b in bounds else self.limits.get(b, inf) for b in self.reads[number]
            )
            if x > domain:
                return number
            y = growth.bound(x)
            for buffer in self.writes[number]:
                largest = max(y, bounds.get(buffer, 0.0))
                bounds[buffer] = min(largest, self.limits.get(buffer, inf))
        return None

    def _waist(self, step: int) -> int | None:
        """Return the smallest buffer that a guard at ``LIMIT`` keeps a step in its domain by.

        Everything that the step reads is computed from it alone.
        """
        sizes = [buffer.shape.elements for buffer in self.plan.buffers]
        waists = [waist for waist in self._waists(step) if waist[1] not in self.limits]
        waists.sort(key=lambda waist: (sizes[waist[1]], -waist[0]))
        for after, buffer in waists:  # mostly the first one will do
            if self._leaves_domain({buffer: LIMIT}, after + 1, step + 1) is None:
                return buffer
        return None

    def _waists(self, end: int) -> Iterator[tuple[int, int]]:
        """Yield the steps before ``end`` after which one buffer alone is read, with the buffer."""
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

"""The steps of a plan that may run side by side: each waits for those it depends on.

Steps wait for each other where one writes memory that the other reads or writes.  Buffers that
share the arena make that more than the graph says: GoogLeNet's 56 steps are 45 deep in its arena,
and 29 where no buffers overlap.  So small batches, which leave a GPU idle, give up the sharing.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from netspec.ir.shapes import rounded_up
from netspec.lowering.arena import ALIGNMENT
from netspec.lowering.plan import Plan


class Turn(NamedTuple):
    """A step's lane, and the steps of other lanes that have to end before it."""

    lane: int
    after: tuple[int, ...]


def turns(plan: Plan) -> list[Turn]:
    """Return a lane for each step: that of the last step it waits for, if none follows there yet.

    Steps of a lane run in order, so that waiting for one is waiting for all before it.
    """
    assigned: list[Turn] = []
    last: list[int] = []  # of each lane
    for number, needs in enumerate(dependencies(plan)):
        lane = next(
            (assigned[needed].lane for needed in needs if last[assigned[needed].lane] == needed),
            len(last),
        )
        latest: dict[int, int] = {}
        for needed in needs:
            needed_lane = assigned[needed].lane
            if needed_lane != lane:
                latest[needed_lane] = max(needed, latest.get(needed_lane, needed))
        if lane == len(last):
            last.append(number)
        last[lane] = number
        assigned.append(Turn(lane, tuple(sorted(latest.values()))))
    return assigned


def apart(plan: Plan) -> Plan:
    """The same plan with all buffers side by side, so that steps wait for what they read alone."""
    sizes = [rounded_up(b.shape.elements, ALIGNMENT) for b in plan.buffers]
    *offsets, end = accumulate(sizes, initial=0)
    buffers = [replace(b, offset=at) for b, at in zip(plan.buffers, offsets, strict=True)]
    return replace(plan, buffers=tuple(buffers), arena=end)


def dependencies(plan: Plan) -> list[tuple[int, ...]]:
    """Return for each step the earlier ones that it conflicts with in memory, the latest first;
    without those that others of them wait for already."""
    conflicts: list[tuple[int, ...]] = []
    before: list[set[int]] = []  # everything that a step comes after
    for number, step in enumerate(plan.steps):
        needs: list[int] = []
        seen: set[int] = set()
        for earlier in range(number - 1, -1, -1):
            previous = plan.steps[earlier]
            if earlier in seen or not (
                _meet(plan, previous.writes, (*step.reads, *step.writes))
                or _meet(plan, previous.reads, step.writes)
            ):
                continue
            needs.append(earlier)
            seen |= {earlier, *before[earlier]}
        conflicts.append(tuple(needs))
        before.append(seen)
    return conflicts


def _meet(plan: Plan, slots: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Return whether one of the slots shares memory with one of the others."""
    return any(_share(plan, slot, other) for slot in slots for other in others)


def _share(plan: Plan, first: int, second: int) -> bool:
    a, b = plan.slots[first], plan.slots[second]
    if a.buffer == b.buffer:
        return a.start < b.start + b.shape.channels and b.start < a.start + a.shape.channels
    x, y = plan.buffers[a.buffer], plan.buffers[b.buffer]
    return x.offset < y.offset + y.shape.elements and y.offset < x.offset + x.shape.elements

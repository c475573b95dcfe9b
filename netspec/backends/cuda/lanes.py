"""Run independent steps of a plan in parallel: each waits only for the steps it depends on.

A step depends on an earlier step if one of them writes memory that the other reads or writes.
Buffers that share memory in the arena add dependencies to those of the graph: the longest chain of
GoogLeNet's 56 steps has 45 steps with a shared arena, and 29 if no buffers overlap.  So small
batches, for which a GPU would be mostly idle, do not share memory.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from netspec.ir.shapes import rounded_up
from netspec.lowering.arena import ALIGNMENT
from netspec.lowering.plan import Plan


class Turn(NamedTuple):
    """The lane (stream) of a step, and the steps of other lanes that must end before it."""

    lane: int
    after: tuple[int, ...]


def turns(plan: Plan) -> list[Turn]:
    """Return a lane for each step.

    It is the lane of a step that it waits for, if that is the last step of its lane so far;
    otherwise a new lane.  The steps of a lane run in order, so it is enough to wait for the latest
    step of each other lane.
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
    """Return the plan with buffers that share no memory, so that steps depend only on operands."""
    sizes = [rounded_up(b.shape.elements, ALIGNMENT) for b in plan.buffers]
    *offsets, end = accumulate(sizes, initial=0)
    buffers = [replace(b, offset=at) for b, at in zip(plan.buffers, offsets, strict=True)]
    return replace(plan, buffers=tuple(buffers), arena=end)


def dependencies(plan: Plan) -> list[tuple[int, ...]]:
    """Return for each step the earlier steps that it conflicts with in memory, the latest first.

    A step for which another one of them already waits is omitted.
    """
    conflicts: list[tuple[int, ...]] = []
    before: list[set[int]] = []  # all steps that a step waits for, directly or indirectly
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
    """Return True if one of the slots shares memory with one of the others."""
    return any(_share(plan, slot, other) for slot in slots for other in others)


def _share(plan: Plan, first: int, second: int) -> bool:
    a, b = plan.slots[first], plan.slots[second]
    if a.buffer == b.buffer:
        return a.start < b.start + b.shape.channels and b.start < a.start + a.shape.channels
    x, y = plan.buffers[a.buffer], plan.buffers[b.buffer]
    return x.offset < y.offset + y.shape.elements and y.offset < x.offset + x.shape.elements

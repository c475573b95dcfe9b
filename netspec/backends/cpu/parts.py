"""Steps that run on one part of a batch after the other, so that their maps stay in the cache.

The maps between two steps of a batch are written to memory, and read from there.  If both steps run
on a few images at a time, the maps have the size of a part and stay in the cache.

A batch of 8 in float32, on one and on two AVX-512 cores with 32 MiB of cache, in parts and whole:
MobileNetV1 is 1.07 and 1.02 times as fast, MobileNetV2 1.27 and 1.28, DenseNet-121 1.04 and 1.05;
GoogLeNet, SqueezeNet and ResNet-50 between 1.01 and 1.02.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from netspec.backends.memory import Extent, in_batches
from netspec.lowering.arena import Lifetime, arrange
from netspec.lowering.backend import PackedStage
from netspec.lowering.implementation import Problem
from netspec.lowering.plan import Plan

LARGE = 8 * 2**20
"""The least bytes of the maps of a batch that steps pass to each other in parts.

With 6 to 12 MiB nets took the same time within 2 %, with 24 MiB up to 18 % more.
"""

PART = 4 * 2**20
"""The most bytes of the maps of a part; of a single image they may be more.

Parts of one image are as fast, but each part takes time and memory when it is bound.
"""

LEAST_OF_A_THREAD = 2**19
"""The least bytes of one image's map for each thread: an estimate, for threads that would wait for
each other longer than for memory."""

FEW_OPERATIONS = 64
"""The most operations for each element of a step that waits for memory."""


class Run(NamedTuple):
    """Consecutive steps that run on one part of a batch after the other.

    Attributes:
        steps: their numbers.
        images: of a part; the last part may have fewer.
    """

    steps: range
    images: int


def runs(
    plan: Plan, stages: Mapping[str, PackedStage], batch: int, dtype: torch.dtype, threads: int
) -> list[Run]:
    """Return the runs of a plan, in order; steps in none of them run on the whole batch."""
    found: list[Run] = []
    if batch == 1:
        return found
    for number, (one, following) in enumerate(pairwise(plan.steps)):
        near = stages[one.stage], stages[following.stage]
        passed = {plan.slots[i].buffer for i in one.writes}
        passed &= {plan.slots[i].buffer for i in following.reads}
        size = sum(plan.buffers[b].shape.elements for b in passed) * dtype.itemsize
        is_large = size * batch >= LARGE and size >= threads * LEAST_OF_A_THREAD
        # Weights are read again for each part.
        if not is_large or any(_weight_bytes(stage) > size for stage in near):
            continue
        if not any(_waits_for_memory(stage.problem) for stage in near):
            continue
        first, images = number, min(batch, max(1, PART // size))
        if found and found[-1].steps.stop == number + 1:
            before = found.pop()
            first, images = before.steps.start, min(images, before.images)
        found.append(Run(range(first, number + 2), images))
    return found


def _weight_bytes(stage: PackedStage) -> int:
    return sum(tensor.nbytes for tensor in stage.packed.values())


def _waits_for_memory(problem: Problem) -> bool:
    elements = max(shape.elements for shape in (*problem.inputs, problem.output))
    return problem.operations <= FEW_OPERATIONS * elements * problem.batch


def within(plan: Plan, run: Run) -> set[int]:
    """Return the numbers of the buffers that only the steps of a run need."""
    return {
        number
        for number, buffer in enumerate(plan.buffers)
        if buffer.first in run.steps and buffer.last in run.steps
    }


def extents(plan: Plan, batch: int, found: Sequence[Run]) -> tuple[list[Extent], int]:
    """Return the place of each buffer, and the elements of the arena.

    A buffer that only the steps of one run need holds a part of the batch.  All others that they
    read or write are needed from the run's first step, for the first part, to its last step, for
    the last part.
    """
    if not found:
        return in_batches(plan, batch), plan.arena * batch
    images = dict.fromkeys(range(len(plan.buffers)), batch)
    for run in found:
        images |= dict.fromkeys(within(plan, run), run.images)
    lifetimes = []
    for number, buffer in enumerate(plan.buffers):
        first, last = buffer.first, buffer.last
        if not any(number in within(plan, run) for run in found):
            first = next((run.steps.start for run in found if first in run.steps), first)
            last = next((run.steps.stop - 1 for run in found if last in run.steps), last)
        lifetimes.append(Lifetime(buffer.shape.elements * images[number], first, last))
    arena = arrange(lifetimes)
    return [Extent(at, images[n]) for n, at in enumerate(arena.offsets)], arena.size


def turns(count: int, batch: int, found: Sequence[Run]) -> Iterator[tuple[int, range]]:
    """Yield the numbers of ``count`` steps in the order in which they run, each with its images."""
    number = 0
    for run in found:
        yield from ((n, range(batch)) for n in range(number, run.steps.start))
        for first in range(0, batch, run.images):
            part = range(first, min(first + run.images, batch))
            yield from ((n, part) for n in run.steps)
        number = run.steps.stop
    yield from ((n, range(batch)) for n in range(number, count))

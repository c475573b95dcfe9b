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
from netspec.ir.shapes import ceiling
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

LARGEST_MAP = 16 * 2**20
"""The most bytes of the map of an image: half of a cache of 32 MiB."""

LEAST_OF_A_THREAD = 2**19
"""The least bytes of one image's map for each thread: an estimate, for threads that would wait for
each other longer than for memory."""

FEW_OPERATIONS = 64
"""The most operations for each element of a step that waits for memory."""


class Stretch(NamedTuple):
    """Consecutive steps that run on one part of a batch after the other.

    Attributes:
        steps: their numbers.
        images: of a part; the last part may have fewer.
    """

    steps: range
    images: int


def stretches(
    plan: Plan, stages: Mapping[str, PackedStage], batch: int, dtype: torch.dtype, threads: int
) -> list[Stretch]:
    """Return the stretches of a plan, in order; other steps run on the whole batch."""
    found: list[Stretch] = []
    if batch == 1:
        return found
    for number, (one, following) in enumerate(pairwise(plan.steps)):
        near = stages[one.stage], stages[following.stage]
        passed = {plan.slots[i].buffer for i in one.writes}
        passed &= {plan.slots[i].buffer for i in following.reads}
        size = sum(plan.buffers[b].shape.elements for b in passed) * dtype.itemsize
        if size * batch < LARGE or not threads * LEAST_OF_A_THREAD <= size <= LARGEST_MAP:
            continue
        # Weights are read again for each part.
        if any(_weight_bytes(stage) > size for stage in near):
            continue
        if not any(_waits_for_memory(stage.problem) for stage in near):
            continue
        # Parts of equal size, so that the last one has no primitives of its own.
        count = ceiling(batch, max(1, PART // size))
        first, images = number, ceiling(batch, count)
        if found and found[-1].steps.stop == number + 1:
            before = found.pop()
            first, images = before.steps.start, min(images, before.images)
        found.append(Stretch(range(first, number + 2), images))
    return found


def _weight_bytes(stage: PackedStage) -> int:
    return sum(tensor.nbytes for tensor in stage.packed.values())


def _waits_for_memory(problem: Problem) -> bool:
    elements = max(shape.elements for shape in (*problem.inputs, problem.output))
    return problem.operations <= FEW_OPERATIONS * elements * problem.batch


def within(plan: Plan, stretch: Stretch) -> set[int]:
    """Return the numbers of the buffers that only the steps of a stretch need."""
    return {
        number
        for number, buffer in enumerate(plan.buffers)
        if buffer.first in stretch.steps and buffer.last in stretch.steps
    }


def extents(plan: Plan, batch: int, found: Sequence[Stretch]) -> tuple[list[Extent], int]:
    """Return the place of each buffer, and the elements of the arena.

    A buffer that only the steps of one stretch need holds one part of the batch at a time.  All
    others that they read or write are needed from the first step, for the first part, to the last
    step, for the last part.
    """
    if not found:
        return in_batches(plan, batch), plan.arena * batch
    images: dict[int, int] = {}
    for stretch in found:
        images |= dict.fromkeys(within(plan, stretch), stretch.images)
    lifetimes = []
    for number, buffer in enumerate(plan.buffers):
        first, last = buffer.first, buffer.last
        if number not in images:
            first = next((s.steps.start for s in found if first in s.steps), first)
            last = next((s.steps.stop - 1 for s in found if last in s.steps), last)
        size = buffer.shape.elements * images.get(number, batch)
        lifetimes.append(Lifetime(size, first, last))
    arena = arrange(lifetimes)
    places = [Extent(start, images.get(n, batch)) for n, start in enumerate(arena.offsets)]
    return places, arena.size


def turns(count: int, batch: int, found: Sequence[Stretch]) -> Iterator[tuple[int, range]]:
    """Yield the numbers of ``count`` steps in the order in which they run, each with its images."""
    number = 0
    for steps, images in found:
        yield from ((n, range(batch)) for n in range(number, steps.start))
        for first in range(0, batch, images):
            part = range(first, min(first + images, batch))
            yield from ((n, part) for n in steps)
        number = steps.stop
    yield from ((n, range(batch)) for n in range(number, count))

"""Steps that run on one image after the other, because their maps do not fit in the cache.

The map between two steps of a batch is written to memory, and read from there.  If the two steps
run on one image at a time, the map has the size of one image and stays in the cache.

Times of a batch of 8 in float32, whole and image by image, on one and on two AVX-512 cores with
32 MiB of cache: MobileNetV1 1.07 and 1.02, MobileNetV2 1.25 and 1.10, DenseNet-121 1.03 and 1.03
times as fast; GoogLeNet, SqueezeNet and ResNet-50 between 1.01 and 1.02.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from netspec.backends.memory import Place, in_batches
from netspec.lowering.arena import Lifetime, arrange
from netspec.lowering.backend import PackedStage
from netspec.lowering.implementation import Problem
from netspec.lowering.plan import Plan

LARGE = 8 * 2**20
"""The least bytes of the maps of a batch that steps pass to each other image by image.

With 6 to 12 MiB nets took the same time within 2 %, with 24 MiB up to 18 % more.
"""

LEAST_OF_A_THREAD = 2**19
"""The least bytes of one image's map for each thread.  With less, threads wait for each other
longer than for memory."""

FEW_OPERATIONS = 64
"""The most operations for each element of a step that waits for memory."""


def runs(
    plan: Plan, stages: Mapping[str, PackedStage], batch: int, dtype: torch.dtype, threads: int
) -> list[range]:
    """Return the ranges of steps that run image by image, in order; other steps run once."""
    ranges: list[range] = []
    if batch == 1:
        return ranges
    problems = [stages[step.stage].problem for step in plan.steps]
    for number, (one, following) in enumerate(zip(plan.steps, plan.steps[1:], strict=False)):
        near = problems[number], problems[number + 1]
        written = {plan.slots[i].buffer for i in one.writes}
        shared = written & {plan.slots[i].buffer for i in following.reads}
        size = sum(plan.buffers[b].shape.elements for b in shared) * dtype.itemsize
        is_large = size * batch >= LARGE and size >= threads * LEAST_OF_A_THREAD
        if not is_large or not any(map(_waits_for_memory, near)):
            continue
        if any(problem.weight_bytes > size for problem in near):  # they are read for each image
            continue
        if ranges and ranges[-1].stop == number + 1:
            ranges[-1] = range(ranges[-1].start, number + 2)
        else:
            ranges.append(range(number, number + 2))
    return ranges


def _waits_for_memory(problem: Problem) -> bool:
    elements = max(shape.elements for shape in (*problem.inputs, problem.output))
    return problem.operations <= FEW_OPERATIONS * elements * problem.batch


def places(plan: Plan, batch: int, ranges: Sequence[range]) -> tuple[list[Place], int]:
    """Return the place of each buffer, and the elements of the arena.

    A buffer that only the steps of one range need holds one image.  All others of the range are
    needed from its first step, for the first image, to its last, for the last image.
    """
    if not ranges:
        return in_batches(plan, batch), plan.arena * batch
    lifetimes, images = [], []
    for buffer in plan.buffers:
        first, last = buffer.first, buffer.last
        within = any(first in steps and last in steps for steps in ranges)
        if not within:
            first = next((steps.start for steps in ranges if first in steps), first)
            last = next((steps.stop - 1 for steps in ranges if last in steps), last)
        images.append(1 if within else batch)
        lifetimes.append(Lifetime(buffer.shape.elements * images[-1], first, last))
    arena = arrange(lifetimes)
    return [*map(Place, arena.offsets, images)], arena.size


def turns(count: int, batch: int, ranges: Sequence[range]) -> Iterator[tuple[int, int | None]]:
    """Yield the numbers of ``count`` steps in the order in which they run, each with its image.

    The image is None where a step runs on all images.
    """
    at = 0
    for steps in [*ranges, range(count, count)]:
        yield from ((number, None) for number in range(at, steps.start))
        yield from ((number, image) for image in range(batch) for number in steps)
        at = steps.stop

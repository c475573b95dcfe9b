"""A summary of compiling, as text and as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from netspec.ir.graph import Graph
from netspec.ir.words import as_size
from netspec.lowering.lowered import Lowered
from netspec.lowering.passes import PASSES


def rewrites(before: Graph, lowered: Lowered) -> Iterator[str]:
    """Yield lines: the number of stages before and after, and of rewrites by each pass."""
    yield f"{len(before)} stages -> {len(lowered.graph)}"
    for rule, count in lowered.rewrites.items():
        if count:
            yield f"  {count:>4}  {rule:<16}  {PASSES[rule].EQUATION}"


def kernels(lowered: Lowered) -> str:
    """Return the number of steps, in all and by implementation."""
    counts = Counter(step.implementation for step in lowered.plan.steps)
    listed = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    origins = Counter(choice.origin for choice in lowered.choices.values())
    reasons = ", ".join(origin for origin, _ in origins.most_common())
    return f"{len(lowered.plan.steps)} steps: {listed} ({reasons})"


def memory(lowered: Lowered) -> str:
    """Return the memory of activations per image, its lower bound, and the sum of all buffers."""
    size, plan = lowered.dtype.itemsize, lowered.plan
    arena, bound, total = (as_size(n * size) for n in (plan.arena, plan.bound, plan.total))
    return f"activations: {arena} per image in one arena (at least {bound}; {total} if not shared)"


def as_json(lowered: Lowered) -> dict[str, Any]:
    """Return the summary as plain data; sizes are in bytes for one image."""
    size = lowered.dtype.itemsize
    return {
        "backend": lowered.backend.name,
        "stages": len(lowered.graph),
        "rewrites": dict(lowered.rewrites),
        "kernels": dict(Counter(step.implementation for step in lowered.plan.steps)),
        "activations": {
            "arena": lowered.plan.arena * size,
            "bound": lowered.plan.bound * size,
            "total": lowered.plan.total * size,
        },
    }

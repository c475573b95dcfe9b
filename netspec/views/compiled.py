"""What compiling did, on one screen, and as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from netspec.ir.graph import Graph
from netspec.lowering.lowered import Lowered
from netspec.lowering.passes import PASSES
from netspec.lowering.passes.contract import contract

MIB = 2**20


def rewrites(before: Graph, lowered: Lowered) -> Iterator[str]:
    """How many stages there were and are, and how often each pass rewrote."""
    yield f"{len(before)} stages -> {len(lowered.graph)}"
    for rule, count in lowered.rewrites.items():
        if count:
            yield f"  {count:>4}  {rule:<16}  {contract(PASSES[rule]).equation}"


def kernels(lowered: Lowered) -> str:
    """How many steps there are, and by which implementations."""
    counts = Counter(step.implementation for step in lowered.plan.steps)
    listed = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    origins = Counter(choice.origin for choice in lowered.choices.values())
    reasons = ", ".join(origin for origin, _ in origins.most_common())
    return f"{len(lowered.plan.steps)} steps: {listed} ({reasons})"


def memory(lowered: Lowered) -> str:
    """What the activations of an image take, beside the least possible and the sum of all."""
    size, plan = lowered.dtype.itemsize, lowered.plan
    arena, bound, total = (as_size(n * size) for n in (plan.arena, plan.bound, plan.total))
    return f"activations: {arena} an image in one arena, {bound} at least; {total} side by side"


def as_size(count: float) -> str:
    """A number of bytes."""
    return f"{count / MIB:,.1f} MiB" if count >= MIB / 10 else f"{count / 1024:,.1f} KiB"


def as_json(lowered: Lowered) -> dict[str, Any]:
    """The same as data; sizes are in bytes for one image."""
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

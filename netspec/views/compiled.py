"""What compiling did, on one screen, and as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from netspec.ir.graph import Graph
from netspec.lowering.lowered import Lowered
from netspec.lowering.passes import PASSES

MIB = 2**20


def rewrites(before: Graph, made: Lowered) -> Iterator[str]:
    """How many stages there were and are, and how often each pass rewrote."""
    yield f"{len(before)} stages -> {len(made.graph)}"
    for rule, count in made.rewrites.items():
        if count:
            yield f"  {count:>4}  {rule:<16}  {PASSES[rule].EQUATION}"


def kernels(made: Lowered) -> str:
    """How many steps there are, and by which implementations."""
    counts = Counter(step.implementation for step in made.plan.steps)
    listed = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    origins = Counter(choice.origin for choice in made.choices.values())
    how = ", ".join(origin for origin, _ in origins.most_common())
    return f"{len(made.plan.steps)} steps: {listed} ({how})"


def memory(made: Lowered) -> str:
    """What the activations of an image take, beside the least possible and the sum of all."""
    size, plan = made.dtype.itemsize, made.plan
    arena, bound, total = (as_size(n * size) for n in (plan.arena, plan.bound, plan.total))
    return f"activations: {arena} an image in one arena, {bound} at least; {total} side by side"


def as_size(count: float) -> str:
    """A number of bytes."""
    return f"{count / MIB:,.1f} MiB" if count >= MIB / 10 else f"{count / 1024:,.1f} KiB"


def as_json(made: Lowered) -> dict[str, Any]:
    """The same as data; sizes are in bytes for one image."""
    size = made.dtype.itemsize
    return {
        "backend": made.backend.name,
        "stages": len(made.graph),
        "rewrites": dict(made.rewrites),
        "kernels": dict(Counter(step.implementation for step in made.plan.steps)),
        "activations": {
            "arena": made.plan.arena * size,
            "bound": made.plan.bound * size,
            "total": made.plan.total * size,
        },
    }

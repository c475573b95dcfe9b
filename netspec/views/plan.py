"""A plan as a table with one line per step."""

from __future__ import annotations

from collections.abc import Iterator

from netspec.lowering.plan import Plan, Step
from netspec.views.columns import aligned

COLUMNS = ("step", "stage", "operator", "by", "reads", "writes", "buffer", "output")


def as_text(plan: Plan) -> str:
    """Return the steps, the places of their outputs, and the memory of the plan.

    ``3[64:]`` means buffer 3 from channel 64 on.  Sizes are in elements for one image.
    """
    rows = [COLUMNS, *(_row(number, step, plan) for number, step in enumerate(plan.steps))]
    return "\n".join([*aligned(rows), "", *_memory(plan)])


def _row(number: int, step: Step, plan: Plan) -> tuple[str, ...]:
    slots = [plan.slots[i] for i in step.writes]
    places = [f"{s.buffer}[{s.start}:]" if s.start else str(s.buffer) for s in slots]
    return (
        str(number),
        step.stage,
        step.op,
        step.implementation,
        " ".join(map(str, step.reads)),
        " ".join(map(str, step.writes)),
        " ".join(places),
        " ".join(str(slot.shape) for slot in slots),
    )


def _memory(plan: Plan) -> Iterator[str]:
    yield f"inputs: slots {' '.join(map(str, plan.inputs))}"
    yield f"outputs: slots {' '.join(map(str, plan.outputs))}"
    yield (
        f"arena: {plan.arena:,} elements per image for {len(plan.buffers)} buffers "
        f"(at least {plan.bound:,}; {plan.total:,} if not shared)"
    )

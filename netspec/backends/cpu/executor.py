"""Running a plan on the CPU: a list of calls, tensors freed where they are last read.

oneDNN's operators in PyTorch have no ``out=``, so that there is no arena to place results in; what
is alive at any moment is what the plan's bound says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import torch
from torch import Tensor

from netspec.backends.backend import Executor, Part, Timed
from netspec.backends.cpu.way import Call, Way
from netspec.fused.slice import Slice
from netspec.graph import Graph
from netspec.plan import Plan, Step


class CpuExecutor(Executor):
    """The calls of a plan, in order.

    Nothing is shared between two runs but parameters, so that threads may run it at the same time.
    An output that lies in the memory of an image or of another output is copied: it is the user's.
    """

    def __init__(self, graph: Graph, plan: Plan, parts: Mapping[str, Part]) -> None:
        self._plan = plan
        self._views = _views(graph, plan)
        self._steps = [(step, _bound(parts[step.stage])) for step in plan.steps]

    def __call__(self, *images: Tensor, out: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
        results = self._run(images, lambda step, call, operands: call(*operands))
        if out is None:
            return results
        with torch.no_grad():
            return tuple(place.copy_(y) for place, y in zip(out, results, strict=True))

    def profile(self, *images: Tensor) -> list[Timed]:
        found: list[Timed] = []

        def timed(step: Step, call: Call, operands: list[Tensor]) -> Tensor:
            started = perf_counter()
            y = call(*operands)
            found.append(Timed(step.stage, step.implementation, perf_counter() - started))
            return y

        self._run(images, timed)
        return found

    def _run(
        self, images: tuple[Tensor, ...], launch: Callable[[Step, Call, list[Tensor]], Tensor]
    ) -> tuple[Tensor, ...]:
        values: list[Tensor | None] = [None] * len(self._plan.slots)

        def put(slot: int, y: Tensor) -> None:
            values[slot] = y
            for view, of in self._views.get(slot, ()):
                put(view, of(y))

        # what was chosen and packed is of one type, and autocast would change it here and there
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            for slot, image in zip(self._plan.inputs, images, strict=True):
                is_map = image.dim() == 4
                put(slot, image.contiguous(memory_format=torch.channels_last) if is_map else image)
            for step, call in self._steps:
                put(step.writes[0], launch(step, call, [_there(values[i]) for i in step.reads]))
                for slot in step.frees:
                    values[slot] = None
            return _apart(images, [_there(values[slot]) for slot in self._plan.outputs])


def _there(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


def _apart(images: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The outputs, each in memory that no image and no other output has."""
    taken = {image.untyped_storage().data_ptr() for image in images}
    found = []
    for y in outputs:
        place = y.untyped_storage().data_ptr()
        found.append(y.clone() if place in taken else y)
        taken.add(place)
    return tuple(found)


def _bound(part: Part) -> Call:
    assert isinstance(part.way, Way)
    return part.way.bind(part.work, part.packed)


def _views(graph: Graph, plan: Plan) -> dict[int, list[tuple[int, Call]]]:
    """For each slot, those that are views of it, and how."""
    of_stage = {slot.stage: i for i, slot in enumerate(plan.slots)}
    written = {i for step in plan.steps for i in step.writes} | {*plan.inputs}
    found: dict[int, list[tuple[int, Call]]] = {}
    for i, slot in enumerate(plan.slots):
        if i not in written:
            (operand,) = graph.operands(slot.stage)
            op = graph.stage(slot.stage).op
            found.setdefault(of_stage[operand], []).append((i, _view(op)))
    return found


def _view(op: object) -> Call:
    if isinstance(op, Slice):
        return lambda x: x.narrow(1, op.start, op.count)
    return lambda x: x.flatten(1)

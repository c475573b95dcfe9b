"""Tracing: one row's way from the spec through the passes to the steps that run, with times.

found = netspec.trace("googlenet", "4a")
print(found)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from netspec.backends.implementation import Work
from netspec.backends.lowered import Lowered
from netspec.bench.layers import Profile, least, profiled
from netspec.bench.timing import Timing
from netspec.choices import Choice
from netspec.compiler import compile, random_images
from netspec.errors import DataError
from netspec.graph import Entry, Graph
from netspec.language.source import Span
from netspec.net import Net, load
from netspec.passes import PIPELINE
from netspec.passes.contract import contract
from netspec.passes.way import Way
from netspec.plan import Plan, is_view
from netspec.shapes import Shape

ROUNDS = 9


@dataclass(frozen=True)
class StageTrace:
    """A stage of the row as the spec means it; counts are for one image.

    ``steps`` are those that it went into, ``elsewhere`` the other rows that they are counted to.
    Where there are none, ``becomes`` says what it is instead: ``view`` of what it reads, ``in
    place`` for a concatenation whose parts are written where they belong, or ``dropped``.
    """

    name: str
    op: str
    kernel: str | None
    output: Shape
    parameters: int
    macs: int
    steps: tuple[int, ...]
    elsewhere: tuple[str, ...]
    becomes: str


@dataclass(frozen=True)
class Rewrite:
    """What a pass did: ``made`` has stages, and what became of them; nothing if they went."""

    rule: str
    equation: str
    made: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(frozen=True)
class Refusal:
    """The stages that a pass left as they were, and why."""

    rule: str
    equation: str
    reason: str
    stages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Place:
    """Where a value lies: from channel ``start`` of a buffer on, a slice of ``whole`` if it is one.

    ``offset`` is the buffer's in the arena of the plan, in elements for one image; ``last`` is the
    last step that reads the buffer, None if it is kept as an output.
    """

    stage: str
    shape: Shape
    buffer: int
    start: int
    whole: str
    offset: int
    last: int | None


@dataclass(frozen=True)
class StepTrace:
    """A step of the plan: ``number`` is its place there, ``row`` the row that it is counted to.

    ``made_of`` are the stages of the spec that went into it; ``floor`` is in seconds.
    """

    number: int
    stage: str
    row: str
    is_own: bool
    made_of: tuple[str, ...]
    work: Work
    choice: Choice
    places: tuple[Place, ...]
    floor: float
    time: Timing


@dataclass(frozen=True)
class Trace:
    """A row's way.  Its text is what ``netspec trace`` prints.

    Attributes:
        net: the net.
        label: the row or stage, as it was asked for.
        span: where it stands.
        row: the row of the table that it belongs to.
        stages: what the spec means by it.
        rewrites: those that touched a stage of it, in the order of passes.
        refusals: those that were refused, in the same order.
        steps: the steps of the plan that compute it.  A step is counted to the row of the last
            stage that it computes, so that rows add up to the net; others are not ``is_own``.
        count: how many steps the plan has.
        backend, dtype, batch, rounds: what was measured, and how often.
        profile: all steps of the plan, and the machine's rates from the same rounds; None if the
            row has no step to measure.
    """

    net: Net
    label: str
    span: Span
    row: str
    stages: tuple[StageTrace, ...]
    rewrites: tuple[Rewrite, ...]
    refusals: tuple[Refusal, ...]
    steps: tuple[StepTrace, ...]
    count: int
    backend: str
    dtype: torch.dtype
    batch: int
    rounds: int
    profile: Profile | None

    @property
    def own(self) -> list[StepTrace]:
        """The steps that are counted to the row."""
        return [step for step in self.steps if step.is_own]

    def __str__(self) -> str:
        from netspec.views.trace import lines

        return "\n".join(lines(self, lambda text, role: text))


def trace(
    net: Net | str | Path,
    row: str,
    *,
    dtype: torch.dtype = torch.float32,
    batch: int = 1,
    measured: bool = False,
    rounds: int = ROUNDS,
    advance: Callable[[], None] = lambda: None,
) -> Trace:
    """Follow a row through the compiler, and time the steps that it became.

    Args:
        net: a checked net, or a spec to load.
        row: a row's label, also of a row inside a block, or a stage's name.
        dtype: of parameters, images and outputs.
        batch: how many images at once.
        measured: choose implementations by their times, as :func:`netspec.compile` does.
        rounds: how often the net is run.
        advance: is called before each round, ``rounds + 1`` times at most.

    Raises:
        SpecError: the spec has mistakes.
        DataError: there is no such row or stage, or it is an input.
    """
    held = net if isinstance(net, Net) else load(net)
    graph = held.graph
    names, span = _asked(held, row)
    of = _row_of(graph, next(iter(names)))
    counted = names if row in graph.rows else dict.fromkeys(graph.rows[of].stages)
    model = compile(held, dtype=dtype, batch=batch, measured=measured)
    lowered = model.lowered
    way = Way(graph, lowered.graph)
    steps = [i for i, s in enumerate(lowered.plan.steps) if way.parts_of(s.stage) & names.keys()]
    rewrites, refusals = _told(way.entries(names))
    profile = None
    if steps:
        images = [image.to(dtype) for image in random_images(held, batch=batch)]
        profile = profiled(model, images, rounds, advance)
    return Trace(
        net=held,
        label=row,
        span=span,
        row=of,
        stages=tuple(_stage(graph, lowered, way, name) for name in names),
        rewrites=rewrites,
        refusals=refusals,
        steps=tuple(_step(graph, lowered, way, counted, i, profile) for i in steps if profile),
        count=len(lowered.plan.steps),
        backend=lowered.backend.name,
        dtype=dtype,
        batch=batch,
        rounds=rounds,
        profile=profile,
    )


def _asked(net: Net, label: str) -> tuple[dict[str, None], Span]:
    """The stages of a row, or a stage, in order; and where it stands."""
    graph = net.graph
    if label in graph.rows:
        row = graph.rows[label]
        return dict.fromkeys(row.stages), row.span
    try:
        name = graph.find(label)
    except KeyError as error:
        message = str(error.args[0])
        rows = ", ".join(row.label for row in graph.rows.values() if not row.is_inner)
        guess = "" if "did you mean" in message else f"; its rows are {rows}"
        raise DataError(f"{net.name}: {message}{guess}") from None
    if name in graph.inputs:
        raise DataError(f"{net.name}: {name} is an input, which nothing computes: name a row")
    return {name: None}, graph.stage(name).span


def _row_of(graph: Graph, stage: str) -> str:
    """The row of the table that a stage of the spec belongs to."""
    return next(r.label for r in graph.rows.values() if stage in r.stages and not r.is_inner)


def _stage(graph: Graph, lowered: Lowered, way: Way, name: str) -> StageTrace:
    op, inputs, totals = graph.stage(name).op, graph.shapes_into(name), graph.totals([name])
    parts = {i: way.parts_of(step.stage) for i, step in enumerate(lowered.plan.steps)}
    steps = tuple(i for i, found in parts.items() if name in found)
    rows = {_row_of(graph, way.in_order(parts[i])[-1]): None for i in steps}
    rows.pop(_row_of(graph, name), None)
    becomes = ""
    if not steps:
        is_there = name in lowered.graph
        is_computed = is_there and not is_view(lowered.graph, name)
        becomes = "in place" if is_computed else "view" if is_there else "dropped"
    return StageTrace(
        name,
        op.name,
        op.kernel_text(inputs),
        graph.stage(name).known_shape,
        totals.parameters,
        totals.macs,
        steps,
        tuple(rows),
        becomes,
    )


def _told(entries: Iterable[Entry]) -> tuple[tuple[Rewrite, ...], tuple[Refusal, ...]]:
    """Entries of one rule, and one reason, together."""
    contracts = {one.RULE: contract(one) for one in PIPELINE}
    made: dict[str, dict[tuple[str, ...], list[str]]] = {}
    refused: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for entry in entries:
        if entry.refusal:
            refused.setdefault((entry.rule, entry.refusal), []).append(entry.stages)
        else:
            results = made.setdefault(entry.rule, {}).setdefault(entry.stages, [])
            results += [entry.result] if entry.result else []
    rewrites = (
        Rewrite(
            rule,
            contracts[rule].equation,
            tuple((stages, tuple(results)) for stages, results in found.items()),
        )
        for rule, found in made.items()
    )
    refusals = (
        Refusal(rule, contracts[rule].equation, contracts[rule].refusals[number], tuple(found))
        for (rule, number), found in refused.items()
    )
    return tuple(rewrites), tuple(refusals)


def _step(
    graph: Graph, lowered: Lowered, way: Way, counted: Iterable[str], number: int, profile: Profile
) -> StepTrace:
    step = lowered.plan.steps[number]
    parts = way.in_order(way.parts_of(step.stage))
    work = lowered.works[step.stage]
    return StepTrace(
        number,
        step.stage,
        row=_row_of(graph, parts[-1]),
        is_own=parts[-1] in counted,
        made_of=parts,
        work=work,
        choice=lowered.choices[step.stage],
        places=tuple(place_of(lowered.plan, slot) for slot in step.writes),
        floor=least(work, profile.rates),
        time=profile.steps[number],
    )


def place_of(plan: Plan, number: int) -> Place:
    """Where a slot of a plan lies."""
    slot = plan.slots[number]
    buffer = plan.buffers[slot.buffer]
    whole = next(s.stage for s in plan.slots if s.buffer == slot.buffer and s.shape == buffer.shape)
    last = None if buffer.last == len(plan.steps) else buffer.last
    inside = "" if whole == slot.stage else whole
    return Place(slot.stage, slot.shape, slot.buffer, slot.start, inside, buffer.offset, last)

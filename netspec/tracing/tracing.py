"""Trace a row from the spec through the passes to the steps that run, with times.

traced = netspec.trace("googlenet", "4a")
print(traced)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch

from netspec.compiler import MOST_IMAGES, checked_net, compile
from netspec.errors import DataError, require_type
from netspec.ir.arguments import whole
from netspec.ir.graph import Entry, Graph
from netspec.ir.source import Span
from netspec.language.definitions import Setting
from netspec.lowering.lowered import Lowered
from netspec.lowering.passes import PASSES, summary
from netspec.lowering.plan import Plan, is_view
from netspec.net import Net
from netspec.runtime.dtypes import dtype_of
from netspec.runtime.verification import random_images
from netspec.timing.floor import of_stage
from netspec.timing.layers import Profile, profiled
from netspec.tracing.lineage import Lineage
from netspec.tracing.trace import BufferSlice, Refusal, Rewrite, StageTrace, StepTrace, Trace

ROUNDS = 9


def trace(
    net: Net | str | Path,
    row: str,
    *,
    dtype: torch.dtype | str = torch.float32,
    batch: int = 1,
    measured: bool = False,
    rounds: int = ROUNDS,
    settings: Mapping[str, Setting] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Trace:
    """Compile a net, and return what became of one row, with the times of its steps.

    Args:
        net: a checked net, or a spec to load.
        row: a row's label, also of a row inside a block, or a stage's name.
        dtype: type of parameters, images and outputs, such as ``"float64"``.
        batch: the number of images.
        measured: choose implementations by measured times, as :func:`netspec.compile` does.
        rounds: the number of runs of the net.
        settings: values of the parameters of a spec.
        advance: called before each run, at most ``rounds + 1`` times, for a progress bar.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec has mistakes.
        DataError: the net does not have such a row or stage, or it computes nothing.
    """
    checked, type = checked_net(net, settings), dtype_of(dtype)
    require_type("row", row, str, "the label of a row, or the name of a stage")
    batch = whole("batch", batch, 1, MOST_IMAGES)
    rounds = whole("rounds", rounds, 1, 10_000)
    graph = checked.graph
    names, span = _asked(checked, row)
    of = _row_of(graph, next(iter(names)))
    counted = names if row in graph.rows else dict.fromkeys(graph.rows[of].stages)
    model = compile(checked, dtype=type, batch=batch, measured=measured)
    lowered = model.lowered
    lineage = Lineage(graph, lowered.graph)
    steps = [
        i for i, s in enumerate(lowered.plan.steps) if lineage.parts_of(s.stage) & names.keys()
    ]
    rewrites, refusals = _told(lineage.entries(names))
    profile = None
    if steps:
        images = [image.to(type) for image in random_images(checked, batch=batch)]
        profile = profiled(model, images, rounds, advance)
    return Trace(
        net=checked,
        label=row,
        span=span,
        row=of,
        stages=tuple(_stage(graph, lowered, lineage, name) for name in names),
        rewrites=rewrites,
        refusals=refusals,
        steps=tuple(_step(graph, lowered, lineage, counted, i, profile) for i in steps if profile),
        count=len(lowered.plan.steps),
        backend=lowered.backend.name,
        dtype=type,
        batch=batch,
        rounds=rounds,
        profile=profile,
    )


def _asked(net: Net, label: str) -> tuple[dict[str, None], Span]:
    """Return the stages of a row, or a single stage, and the place in the spec.

    Raises:
        DataError: there is no such row or stage, or it computes nothing.
    """
    graph = net.graph
    if label in graph.rows:
        row = graph.rows[label]
        if not row.stages:
            raise DataError(
                f"{net.name}: row {label} computes nothing, its value is that of {row.output}: "
                "trace that one"
            )
        return dict.fromkeys(row.stages), row.span
    try:
        name = graph.find(label)
    except KeyError as error:
        message = str(error.args[0])
        rows = ", ".join(row.label for row in graph.rows.values() if not row.is_inner)
        guess = "" if "did you mean" in message else f"; its rows are {rows}"
        raise DataError(f"{net.name}: {message}{guess}") from None
    if name in graph.inputs:
        raise DataError(f"{net.name}: {name} is an input, which is not computed: name a row")
    return {name: None}, graph.stage(name).span


def _row_of(graph: Graph, stage: str) -> str:
    """Return the row of the table to which a stage of the spec belongs."""
    return next(r.label for r in graph.rows.values() if stage in r.stages and not r.is_inner)


def _stage(graph: Graph, lowered: Lowered, lineage: Lineage, name: str) -> StageTrace:
    op, inputs, totals = graph.stage(name).op, graph.shapes_into(name), graph.totals([name])
    parts = {i: lineage.parts_of(step.stage) for i, step in enumerate(lowered.plan.steps)}
    steps = tuple(i for i, made_of in parts.items() if name in made_of)
    rows = {_row_of(graph, lineage.in_order(parts[i])[-1]): None for i in steps}
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
    """Group entries by rule, and refusals also by reason."""
    results_of: dict[str, dict[tuple[str, ...], list[str]]] = {}
    refused: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for entry in entries:
        if entry.refusal:
            refused.setdefault((entry.rule, entry.refusal), []).append(entry.stages)
        else:
            results = results_of.setdefault(entry.rule, {}).setdefault(entry.stages, [])
            results += [entry.result] if entry.result else []
    rewrites = (
        Rewrite(
            rule,
            summary(PASSES[rule]),
            tuple((stages, tuple(results)) for stages, results in of_rule.items()),
        )
        for rule, of_rule in results_of.items()
    )
    refusals = (
        Refusal(rule, summary(PASSES[rule]), PASSES[rule].REFUSALS[number], tuple(stages))
        for (rule, number), stages in refused.items()
    )
    return tuple(rewrites), tuple(refusals)


def _step(
    graph: Graph,
    lowered: Lowered,
    lineage: Lineage,
    counted: Iterable[str],
    number: int,
    profile: Profile,
) -> StepTrace:
    step = lowered.plan.steps[number]
    parts = lineage.in_order(lineage.parts_of(step.stage))
    problem = lowered.problems[step.stage]
    return StepTrace(
        number,
        step.stage,
        row=_row_of(graph, parts[-1]),
        is_own=parts[-1] in counted,
        made_of=parts,
        problem=problem,
        choice=lowered.choices[step.stage],
        places=tuple(slice_of(lowered.plan, slot) for slot in step.writes),
        floor=of_stage(problem, lowered.backend, profile.rates, profile.kept[number]),
        time=profile.steps[number],
    )


def slice_of(plan: Plan, number: int) -> BufferSlice:
    """Return the place in memory of a slot of a plan."""
    slot = plan.slots[number]
    buffer = plan.buffers[slot.buffer]
    whole = next(s.stage for s in plan.slots if s.buffer == slot.buffer and s.shape == buffer.shape)
    last = None if buffer.last == len(plan.steps) else buffer.last
    inside = "" if whole == slot.stage else whole
    return BufferSlice(slot.stage, slot.shape, slot.buffer, slot.start, inside, buffer.offset, last)

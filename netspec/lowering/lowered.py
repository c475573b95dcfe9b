"""Lower a checked net: rewrite its graph, choose implementations, make the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import torch

from netspec.ir.graph import Graph
from netspec.lowering.backend import Backend
from netspec.lowering.choices import Choices, choose
from netspec.lowering.implementation import Implementation, Place, Places, Problem, problem_of
from netspec.lowering.passes import Pass, optimise
from netspec.lowering.plan import Plan, is_view, plan


@dataclass(frozen=True)
class Lowered:
    """A net ready to run, without its parameters.

    Attributes:
        graph: the rewritten graph; its journal has the actions of the passes.
        rewrites: the number of rewrites of each pass.
        problems: the problem of each stage that computes.
        choices: the choice for each of these stages.
        implementations: the chosen implementation of each of these stages.
        plan: the steps over slots.
        backend: the backend of the implementations.
        dtype: the type of parameters, images and outputs.
        batch: the batch size for which implementations were chosen.
        seconds: the time of each step of lowering.
    """

    graph: Graph
    rewrites: Mapping[str, int]
    problems: Mapping[str, Problem]
    choices: Choices
    implementations: Mapping[str, Implementation]
    plan: Plan
    backend: Backend
    dtype: torch.dtype
    batch: int
    seconds: Mapping[str, float] = field(compare=False)


def lowered(
    graph: Graph,
    backend: Backend,
    *,
    dtype: torch.dtype,
    batch: int,
    is_measured: bool = False,
    is_exact: bool = False,
    decided: Mapping[str, str] | None = None,
    passes: Sequence[Pass] | None = None,
) -> Lowered:
    """Rewrite a copy of a graph, choose implementations, and make the plan.

    Args:
        graph: the graph of the net.
        backend: the backend that will run it.
        dtype: the type of parameters and activations.
        batch: the batch size for which implementations are chosen.
        is_measured: time the implementations; otherwise the preferred ones are chosen where the
            backend knows no times.
        is_exact: choose only implementations that are as exact as sums of products.
        decided: implementations that were chosen before, by stage.
        passes: the passes to run; by default those of the backend.

    Raises:
        DataError: ``decided`` names an unknown stage or implementation.
    """
    started = perf_counter()
    outcome = optimise(graph, backend.passes if passes is None else passes)
    rewritten = perf_counter()
    problems = {
        stage.name: problem_of(outcome.graph, stage.name, dtype, batch)
        for stage in outcome.graph.stages()
        if outcome.graph.operands(stage.name) and not is_view(outcome.graph, stage.name)
    }

    def possible(problem: Problem) -> list[Implementation]:
        implementations = backend.implementations(problem)
        return [one for one in implementations if one.is_exact or not is_exact]

    choices = choose(
        _placed(outcome.graph, problems, backend) if backend.measures_in_place else problems,
        possible,
        measure=backend.measure if is_measured else backend.known,
        decided=decided,
    )
    implementations = {
        stage: next(
            implementation
            for implementation in backend.implementations(problem)
            if implementation.name == choices[stage].implementation
        )
        for stage, problem in problems.items()
    }
    decided_at = perf_counter()
    planned = _planned(outcome.graph, implementations)
    seconds = {
        "rewrite": rewritten - started,
        "choose": decided_at - rewritten,
        "plan": perf_counter() - decided_at,
    }
    return Lowered(
        graph=outcome.graph,
        rewrites=outcome.rewrites,
        problems=problems,
        choices=choices,
        implementations=implementations,
        plan=planned,
        backend=backend,
        dtype=dtype,
        batch=batch,
        seconds=seconds,
    )


def _planned(graph: Graph, implementations: Mapping[str, Implementation]) -> Plan:
    names = {stage: one.name for stage, one in implementations.items()}
    return plan(graph, names, {stage: one.ability for stage, one in implementations.items()})


def _placed(graph: Graph, problems: Mapping[str, Problem], backend: Backend) -> dict[str, Problem]:
    """Return problems with their places in the plan of the preferred implementations."""
    preferred = {stage: backend.implementations(p)[0] for stage, p in problems.items()}
    planned = _planned(graph, preferred)

    def places(slots: Iterable[int]) -> tuple[Place, ...]:
        return tuple(
            Place(
                planned.slots[i].shape.channels,
                planned.slots[i].start,
                planned.buffers[planned.slots[i].buffer].shape.channels,
            )
            for i in slots
        )

    placed = dict(problems)
    for step in planned.steps:
        reads, writes = places(step.reads), places(step.writes)
        if len(writes) > 1 or not all(place.is_whole for place in (*reads, *writes)):
            placed[step.stage] = replace(placed[step.stage], places=Places(reads, writes))
    return placed

"""Lowering: from a checked net to a rewritten graph, implementations chosen, and a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import torch

from netspec.ir.graph import Graph
from netspec.lowering.backend import Backend
from netspec.lowering.choices import Choices, choose
from netspec.lowering.implementation import Implementation, Problem, problem_of
from netspec.lowering.passes import Pass, optimise
from netspec.lowering.plan import Plan, is_view, plan


@dataclass(frozen=True)
class Lowered:
    """A net ready to run: everything but its parameters.

    Attributes:
        graph: the rewritten graph; its journal has the actions of passes.
        rewrites: the number of rewrites of each pass.
        problems: the stages that compute, and their work.
        choices: which implementation each of them has.
        implementations: the implementations themselves.
        plan: the steps over slots.
        backend: the backend of these implementations.
        dtype: of parameters, images and outputs.
        batch: the number of images that choices were made for.
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
    decided: Mapping[str, str] | None = None,
    passes: Sequence[Pass] | None = None,
) -> Lowered:
    """Rewrite a graph, choose implementations, and plan.

    Args:
        graph: the net's own, which is not changed.
        backend: where it runs.
        dtype: of parameters and activations.
        batch: the number of images to choose for.
        is_measured: time the implementations instead of taking the preferred ones.
        decided: implementations that were chosen before, by stage.
        passes: the rewrites, the backend's own by default.

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
    measure = backend.measure if is_measured else None
    choices = choose(problems, backend.implementations, measure=measure, decided=decided)
    chosen = {stage: choice.implementation for stage, choice in choices.items()}
    implementations = {
        stage: next(
            implementation
            for implementation in backend.implementations(problem)
            if implementation.name == chosen[stage]
        )
        for stage, problem in problems.items()
    }
    decided_at = perf_counter()
    abilities = {stage: implementation.ability for stage, implementation in implementations.items()}
    planned = plan(outcome.graph, chosen, abilities)
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

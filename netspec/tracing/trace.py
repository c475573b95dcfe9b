"""The trace of a row as data: its stages, rewrites, refusals and steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from netspec.ir.shapes import Shape
from netspec.ir.source import Span
from netspec.lowering.choices import Choice
from netspec.lowering.implementation import Problem
from netspec.net import Net
from netspec.printing import Printed
from netspec.timing.layers import Profile
from netspec.timing.timing import Timing


@dataclass(frozen=True)
class StageTrace:
    """A stage of the row as the spec means it; counts are for one image.

    ``steps`` are those that it went into, ``elsewhere`` the other rows that they are counted to. If
    there are none, ``becomes`` says why: it is a ``view`` of what it reads, ``in place`` if it is a
    concatenation whose parts are written in place, or ``dropped``.
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
    """Rewrites of a pass: ``made`` has stages and their results, none if they were removed."""

    rule: str
    summary: str
    made: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(frozen=True)
class Refusal:
    """The stages that a pass did not rewrite, and the reason."""

    rule: str
    summary: str
    reason: str
    stages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class BufferSlice:
    """The place of a value: from channel ``start`` of a buffer on, in ``whole`` if it is a slice.

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
    problem: Problem
    choice: Choice
    places: tuple[BufferSlice, ...]
    floor: float
    time: Timing


@dataclass(frozen=True, repr=False)
class Trace(Printed):
    """The trace of a row.  Its text is what ``netspec trace`` prints.

    Attributes:
        net: the net.
        label: the row or stage, as it was asked for.
        span: its place in the spec.
        row: the row of the table that it belongs to.
        stages: its stages in the spec.
        rewrites: those that touched a stage of it, in the order of passes.
        refusals: those that were refused, in the same order.
        steps: the steps of the plan that compute it.  A step is counted to the row of the last
            stage that it computes, so that rows add up to the net; others are not ``is_own``.
        count: the number of steps of the plan.
        backend, dtype, batch, rounds: what was measured, and the number of runs.
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

    @property
    def text(self) -> str:
        """The row or operator in the spec: its line, and those up to the last bracket."""
        source, depth, shown = self.span.source, 0, []
        for line in source.text[source.line_start(self.span.line) :].splitlines():
            shown.append(line)
            code = re.sub(r'"[^"]*"', "", line).partition("#")[0]
            depth += len(re.findall(r"[{(]", code)) - len(re.findall(r"[})]", code))
            if depth <= 0:
                break
        return "\n".join(shown)


class Sums(NamedTuple):
    """The sums over steps; times in seconds."""

    macs: int
    bytes: int
    weight_bytes: int
    floor: float
    seconds: float


def summed(steps: Sequence[StepTrace]) -> Sums:
    """Return the sums over steps."""
    return Sums(
        sum(step.problem.operations for step in steps) // 2,
        sum(step.problem.bytes for step in steps),
        sum(step.problem.weight_bytes for step in steps),
        sum(step.floor for step in steps),
        sum(step.time.median for step in steps),
    )

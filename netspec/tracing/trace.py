"""The trace of a row: its stages, rewrites, refusals and steps."""

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
    """A stage of the row, as in the spec.

    Attributes:
        name: of the stage.
        op: the name of its operator.
        kernel: as tables of papers print it.
        output: its size for one image.
        parameters: the number of its parameters.
        macs: multiply-accumulates for one image.
        steps: the numbers of the plan's steps that compute it.
        elsewhere: other rows to which these steps are counted.
        becomes: if there are no steps, the reason: ``view`` (of its operand), ``in place`` (a
            concatenation whose parts are written to their places in it), or ``dropped``.
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
    """Rewrites of a pass: ``made`` has (stages, results); no results if the stages were removed."""

    rule: str
    summary: str
    made: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(frozen=True)
class Refusal:
    """Stages that a pass did not rewrite, and the reason."""

    rule: str
    summary: str
    reason: str
    stages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class BufferSlice:
    """The place in memory of a stage's value.

    Attributes:
        stage: whose value it is.
        shape: of the value, for one image.
        buffer: the number of the buffer.
        start: the first channel of the value in the buffer.
        whole: the stage whose value is the whole buffer, if it is another one; else empty.
        offset: of the buffer in the plan's arena, in elements for one image.
        last: the last step that reads the buffer; None for an output, which is kept.
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
    """A step of the plan.

    Attributes:
        number: of the step in the plan.
        stage: of the rewritten graph.
        row: to which it is counted.
        is_own: True if this is the traced row.
        made_of: the stages of the spec that it computes.
        problem: what it computes.
        choice: its implementation, and the reason.
        places: the values that it writes.
        floor: the least time possible at the machine's rates, in seconds.
        time: measured, in seconds.
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
        label: the row or stage, as :func:`trace` was called.
        span: its place in the spec.
        row: the row of the table to which it belongs.
        stages: its stages in the spec.
        rewrites: the rewrites of its stages, in the order of passes.
        refusals: the rewrites that were not applied, in the same order.
        steps: the steps of the plan that compute it.  A step is counted to the row of the last
            stage that it computes, so the times of all rows add up to the net's.  ``is_own`` is
            False for a step that is counted to another row.
        count: the number of steps of the plan.
        backend, dtype, batch, rounds: what was measured, and in how many runs.
        profile: the times of all steps of the plan, and the machine's rates from the same runs;
            None if the row has no step.
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
        """The steps that are counted to this row."""
        return [step for step in self.steps if step.is_own]

    @property
    def text(self) -> str:
        """The text of the row in the spec: its line, and the next ones up to its last bracket."""
        source, depth, shown = self.span.source, 0, []
        for line in source.text[source.line_start(self.span.line) :].splitlines():
            shown.append(line)
            code = re.sub(r'"[^"]*"', "", line).partition("#")[0]
            depth += len(re.findall(r"[{(]", code)) - len(re.findall(r"[})]", code))
            if depth <= 0:
                break
        return "\n".join(shown)


class Sums(NamedTuple):
    """Sums over steps.

    Attributes:
        macs: multiply-accumulates for the whole batch.
        bytes: that must be read and written at least.
        weight_bytes: the part of them that is weights.
        floor: the least time possible, in seconds.
        seconds: the sum of the median times.
    """

    macs: int
    bytes: int
    weight_bytes: int
    floor: float
    seconds: float


def summed(steps: Sequence[StepTrace]) -> Sums:
    """Return the sums over some steps."""
    return Sums(
        sum(step.problem.operations for step in steps) // 2,
        sum(step.problem.bytes for step in steps),
        sum(step.problem.weight_bytes for step in steps),
        sum(step.floor for step in steps),
        sum(step.time.median for step in steps),
    )

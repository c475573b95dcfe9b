"""The kernels and times of a compiled net, by stages of its spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from netspec.ir.words import counted
from netspec.net import Net

ROUNDS = 20


@dataclass(frozen=True)
class Step:
    """A step of a plan.

    Attributes:
        kernel: Name of its implementation.
        seconds: Median of its times, for a batch of one image.
        stages: The stages of the spec that it computes, in the order of the spec.
    """

    kernel: str
    seconds: float
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """The steps of a compiled net with their times.

    Attributes:
        steps: In the order of the plan.
        machine: The processor and its number of threads.
        others: The share of the processors that other processes used; None if it is not known.
    """

    steps: tuple[Step, ...]
    machine: str
    others: float | None = None

    @property
    def seconds(self) -> float:
        """The sum of the medians of all steps."""
        return sum(step.seconds for step in self.steps)

    @property
    def described(self) -> str:
        """How the times were measured, and a warning if other processes disturbed them."""
        from netspec.timing.verdict import NOTICED

        measured = (
            f"Times are medians of {counted(ROUNDS, 'run')} with one image on {self.machine}."
        )
        if self.others is None or self.others <= NOTICED:
            return measured
        return f"{measured} Other processes used {self.others:.0%} of the processors meanwhile."

    def by_stage(self) -> Mapping[str, Step]:
        """Return the step of each stage of the spec; a step can be that of several stages."""
        return {stage: step for step in self.steps for stage in step.stages}

    def seconds_of(self, net: Net, label: str) -> float:
        """Return the time of a row.

        A step that computes stages of several rows counts in the last of these rows, as in
        ``netspec trace``.
        """
        stages = set(net.graph.rows[label].stages)
        return sum(step.seconds for step in self.steps if step.stages and step.stages[-1] in stages)


def measure(net: Net) -> Measured:
    """Return the times of the steps of a net on this machine's CPU, as ``bench --layers`` does.

    Raises:
        SpecError: The net has symbols.
    """
    from netspec.timing.case import Case
    from netspec.timing.engines import compiled
    from netspec.timing.layers import profiled
    from netspec.timing.machine import machine
    from netspec.tracing.lineage import Lineage

    with TemporaryDirectory() as folder:
        case = Case(net.name, {}, 1, "float32", Path(folder), given=net)
        model = compiled(case)
        profile = profiled(model, case.images, ROUNDS)
    graph, lowered = net.graph, model.lowered
    lineage = Lineage(graph, lowered.graph)
    steps = tuple(
        Step(
            step.implementation,
            timed.median,
            lineage.in_order(lineage.parts_of(step.stage)),
        )
        for step, timed in zip(lowered.plan.steps, profile.steps, strict=True)
    )
    about = machine()
    described = f"{about['cpu']}, {counted(about['threads'], 'thread')}"
    return Measured(steps, described, profile.others)

"""Time a compiled net step by step, with the rates of the machine (``netspec bench --layers``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from netspec.language.definitions import Setting
from netspec.lowering.implementation import Problem
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.timing.case import Case
from netspec.timing.engines import compiled
from netspec.timing.machine import Others, Rates, calls
from netspec.timing.measure import WARM, Advance, Entry, answer, in_milliseconds, title_of
from netspec.timing.timing import Timing, timer_of, timing


class Profile(NamedTuple):
    """The times of the steps of a plan, and the rates of the machine during the same rounds.

    Attributes:
        steps: in the order of the plan.
        rates: of the matrix product and the copy.
        others: the share of the processors that other processes used, or None if unknown.
    """

    steps: tuple[Timing, ...]
    rates: Rates
    others: float | None

    @property
    def seconds(self) -> float:
        """The sum of the medians of the steps."""
        return sum(step.median for step in self.steps)


def profiled(
    model: Compiled,
    images: Sequence[Tensor],
    rounds: int,
    advance: Callable[[], None] = lambda: None,
) -> Profile:
    """Time each step of a net, and the machine's matrix product and copy in each round.

    As in the turns of engines, one run without a clock precedes each timed run.
    """
    timer, device = timer_of(model.device), model.device
    yardsticks = {
        name: timer.prepared([call]) for name, call in calls(model.lowered.dtype, device).items()
    }
    rates: dict[str, list[float]] = {name: [] for name in yardsticks}
    steps: list[list[float]] = [[] for _ in model.lowered.plan.steps]
    others = Others()
    for i in range(-WARM, rounds):
        advance()
        taken = {name: run() for name, run in yardsticks.items()}
        model.profile(*images)
        step_times = model.profile(*images)
        if i < 0:
            continue
        for name, seconds in taken.items():
            rates[name].append(seconds)
        for samples, timed in zip(steps, step_times, strict=True):
            samples.append(timed.seconds)
    medians = {name: timing(samples).median for name, samples in rates.items()}
    return Profile(
        tuple(timing(samples) for samples in steps),
        Rates.of(medians["product"], medians["copy"], device),
        others.share(),
    )


def least(problem: Problem, rates: Rates) -> float:
    """Return the floor of a stage in seconds.

    It is the larger of operations / rate of products and bytes / rate of copies.
    """
    return max(problem.operations / rates.product, problem.bytes / rates.copy)


def bench(
    specs: Sequence[str | Net],
    *,
    settings: Mapping[str, Setting],
    batches: Sequence[int],
    dtype: str,
    rounds: int,
    device: str = "cpu",
    advance: Advance = lambda step: None,
) -> Entry:
    """Return the result of ``netspec bench --layers``: netspec alone, with ``layers`` per case."""

    def measure(case: Case) -> Entry:
        return measured(case, rounds, advance)

    options: dict[str, Any] = {"batches": batches, "dtype": dtype, "device": device}
    return answer(specs, settings=settings, measure=measure, **options)


def steps(specs: int, batches: int, rounds: int) -> int:
    """Return the number of calls of ``advance`` in a run."""
    return specs * batches * (rounds + WARM)


def measured(case: Case, rounds: int, advance: Advance = lambda step: None) -> Entry:
    """Return the result of a case, with an entry for each step of netspec's plan in order."""
    model = compiled(case)
    step = f"{title_of(case)}: steps of the compiled net"
    profile = profiled(model, case.images, rounds, lambda: advance(step))
    return {
        "spec": case.spec,
        "name": case.net.name,
        "batch": case.batch,
        "dtype": case.dtype,
        "rounds": rounds,
        "others": profile.others,
        "floor": {
            "gflop_per_s": profile.rates.product / 1e9,
            "copy_gb_per_s": profile.rates.copy / 1e9,
        },
        "layers": _entries(model, profile),
    }


def _entries(model: Compiled, profile: Profile) -> list[dict[str, Any]]:
    entries = []
    for step, timed in zip(model.lowered.plan.steps, profile.steps, strict=True):
        problem = model.lowered.problems[step.stage]
        entry = {
            "stage": step.stage,
            "op": step.op,
            "implementation": step.implementation,
            "gflop": problem.operations / 1e9,
            "megabytes": problem.bytes / 1e6,
            "floor_ms": least(problem, profile.rates) * 1e3,
        }
        entries.append(entry | in_milliseconds(timed))
    return entries

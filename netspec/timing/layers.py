"""Time a compiled net step by step, with the rates of the machine (``netspec bench --layers``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from torch import Tensor

from netspec.language.definitions import Setting
from netspec.lowering.lowered import Lowered
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.timing.case import Case
from netspec.timing.engines import compiled
from netspec.timing.floor import fewest, of_stage
from netspec.timing.machine import Others
from netspec.timing.measure import WARM, Advance, Entry, answer, in_milliseconds, title_of
from netspec.timing.rates import Rates, yardsticks
from netspec.timing.timing import Timing, timer_of, timing


class Profile(NamedTuple):
    """The times of the steps of a plan, and the rates of the machine during the same rounds.

    Attributes:
        steps: in the order of the plan.
        kept: for each step, the bytes of its maps that stay in the cache.
        rates: the fastest of the yardsticks and of the steps.
        others: the share of the processors that other processes used, or None if unknown.
    """

    steps: tuple[Timing, ...]
    kept: tuple[int, ...]
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
    """Time each step of a net, and the yardsticks of the machine in each round.

    As in the turns of engines, one run without a clock precedes each timed run.
    """
    timer, device = timer_of(model.device), model.device
    known = yardsticks(model.lowered.dtype, device)
    passes = {name: timer.prepared([one.call]) for name, one in known.items()}
    shortest = dict.fromkeys(known, inf)
    steps: list[list[float]] = [[] for _ in model.lowered.plan.steps]
    others = Others()
    for i in range(-WARM, rounds):
        advance()
        taken = {name: run() for name, run in passes.items()}
        model.profile(*images)
        step_times = model.profile(*images)
        if i < 0:
            continue
        for name, seconds in taken.items():
            shortest[name] = min(shortest[name], seconds)
        for samples, timed in zip(steps, step_times, strict=True):
            samples.append(timed.seconds)
    timings = tuple(timing(samples) for samples in steps)
    kept = tuple(timed.kept for timed in step_times)
    rates = _with_steps(Rates.of(known, shortest, device), model.lowered, timings, kept)
    return Profile(timings, kept, rates, others.share())


def _with_steps(
    rates: Rates, net: Lowered, timings: Sequence[Timing], kept: Sequence[int]
) -> Rates:
    """Return the rates, raised to those of a step that is faster than all yardsticks."""
    product, memory, cache = rates
    for step, timed, in_cache in zip(net.plan.steps, timings, kept, strict=True):
        problem = net.problems[step.stage]
        if timed.shortest > 0:  # a step without calls takes no time
            product = max(product, fewest(problem, net.backend) / timed.shortest)
            memory = max(memory, (problem.bytes - in_cache - cache) / timed.shortest)
    return Rates(product, memory, cache)


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
            "copy_gb_per_s": profile.rates.memory / 1e9,
        },
        "layers": _entries(model, profile),
    }


def _entries(model: Compiled, profile: Profile) -> list[dict[str, Any]]:
    entries = []
    backend, rates = model.lowered.backend, profile.rates
    steps = zip(model.lowered.plan.steps, profile.steps, profile.kept, strict=True)
    for step, timed, kept in steps:
        problem = model.lowered.problems[step.stage]
        entry = {
            "stage": step.stage,
            "op": step.op,
            "implementation": step.implementation,
            "gflop": problem.operations / 1e9,
            "megabytes": problem.bytes / 1e6,
            "floor_ms": of_stage(problem, backend, rates, kept) * 1e3,
        }
        entries.append(entry | in_milliseconds(timed))
    return entries

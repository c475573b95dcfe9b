"""Time engines in turns, so that changes of the clock rate affect all of them.

A *call* does the work once on its own operands.  A *pass* runs all calls of an engine, which on a
GPU use more data than the cache holds, and returns the seconds per call.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

Call = Callable[[], Any]
Pass = Callable[[], float]


class Timing(NamedTuple):
    """Samples in seconds per call: the median, the quartiles, their number, and the shortest."""

    median: float
    low: float
    high: float
    samples: int
    shortest: float

    @property
    def width(self) -> float:
        """The distance of the quartiles, relative to the median."""
        return (self.high - self.low) / self.median


class Timer(Protocol):
    """A clock that turns the calls of an engine into a pass.  Both are created in its context."""

    def context(self) -> AbstractContextManager[Any]:
        """Return the context in which calls are created and prepared."""

    def prepared(self, calls: Sequence[Call]) -> Pass:
        """Return a pass over the calls, in seconds per call."""


class WallTimer:
    """A wall clock, for work that is complete when the call returns."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.clock = clock

    def context(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def prepared(self, calls: Sequence[Call]) -> Pass:
        def timed() -> float:
            started = self.clock()
            for call in calls:
                call()
            return (self.clock() - started) / len(calls)

        return timed


class EventTimer:
    """CUDA events before and after the calls, in the current stream.

    The time includes waits of the GPU for Python, if Python is slower.
    """

    def context(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def prepared(self, calls: Sequence[Call]) -> Pass:
        import torch

        def timed() -> float:
            started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
            started.record()
            for call in calls:
                call()
            ended.record()
            ended.synchronize()
            return float(started.elapsed_time(ended)) / 1e3 / len(calls)

        return timed


def timer_of(device: torch.device) -> Timer:
    """Return the timer of a device."""
    return EventTimer() if device.type == "cuda" else WallTimer()


def interleaved(
    passes: Mapping[str, Pass], *, rounds: int = 15, warm: int = 2
) -> dict[str, Timing]:
    """Return the timing of each engine over rounds in which every engine has one turn.

    ``warm`` rounds before them are not counted.  Each round begins with the next engine, so that no
    engine is always the first.
    """
    names = list(passes)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for i in range(-warm, rounds):
        first = i % len(names) if names else 0
        for name in names[first:] + names[:first]:
            seconds = passes[name]()
            if i >= 0:
                samples[name].append(seconds)
    return {name: timing(measured) for name, measured in samples.items()}


def timing(samples: Sequence[float]) -> Timing:
    """Return the timing of samples; with one sample, the median and the quartiles equal it."""
    low, median, high = (
        statistics.quantiles(samples, n=4, method="inclusive")
        if len(samples) > 1
        else [*samples] * 3
    )
    return Timing(median, low, high, len(samples), min(samples))

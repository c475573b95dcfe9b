"""Medians of engines that take turns, so that a clock that drifts drifts for all of them.

A *call* does the work once on operands of its own.  A *pass* is all calls of an engine, over more
data than the GPU's cache holds; it returns the seconds that one call took.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any, NamedTuple, Protocol

Call = Callable[[], Any]
Pass = Callable[[], float]

SAMPLE = 2e-3
"""Seconds that a sample should last, far above the resolution of a clock or an event."""


class Timing(NamedTuple):
    """The median of the samples, their quartiles, in seconds a call, and how many there were."""

    median: float
    low: float
    high: float
    samples: int


class Timer(Protocol):
    """Turns the calls of an engine into a pass; both are made in its context."""

    def context(self) -> AbstractContextManager[Any]: ...

    def prepared(self, calls: Sequence[Call]) -> Pass: ...


class WallTimer:
    """The clock on the wall, for work that is over when the call returns."""

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


class GraphTimer:
    """CUDA events around replays of a graph of all calls, so that no engine waits for Python.

    The results of all calls are alive at once while the graph is captured, so each call writes
    memory of its own.  Autograd runs a gradient in the stream of what it is the gradient of, which
    has to be the one that is captured: hence the context.
    """

    def __init__(self) -> None:
        import torch

        self.stream = torch.cuda.Stream()

    def context(self) -> AbstractContextManager[Any]:
        import torch

        return torch.cuda.stream(self.stream)

    def prepared(self, calls: Sequence[Call]) -> Pass:
        import torch

        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=self.stream):
            results: list[Any] = [call() for call in calls]
        del results
        graph.replay()  # the first one uploads the graph
        once = self._seconds(graph, 1)
        replays = max(1, round(SAMPLE / max(once, 1e-7)))
        # The graph reads what the calls read: they have to live as long as it does.
        return lambda: self._seconds(graph, replays) / replays / len(calls)

    def _seconds(self, graph: Any, replays: int) -> float:
        import torch

        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        started.record()
        for _ in range(replays):
            graph.replay()
        ended.record()
        torch.cuda.synchronize()
        return float(started.elapsed_time(ended)) / 1e3


def interleaved(
    passes: Mapping[str, Pass], *, rounds: int = 15, warm: int = 2
) -> dict[str, Timing]:
    """Medians over rounds in each of which every engine has a turn, after ``warm`` uncounted
    rounds.  Each round begins with the next engine, so that none always follows the same one."""
    names = list(passes)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for i in range(-warm, rounds):
        first = i % len(names) if names else 0
        for name in names[first:] + names[:first]:
            seconds = passes[name]()
            if i >= 0:
                samples[name].append(seconds)
    return {name: timing(found) for name, found in samples.items()}


def timing(samples: Sequence[float]) -> Timing:
    """Of one sample, it is the quartiles, too."""
    low, median, high = (
        statistics.quantiles(samples, n=4, method="inclusive")
        if len(samples) > 1
        else [*samples] * 3
    )
    return Timing(median, low, high, len(samples))

"""The clock of a GPU, for the engines that take turns in netspec.timing.timing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from netspec.timing.timing import Call, EventTimer, Pass

SAMPLE = 2e-3
"""Seconds that a sample should last, far above the resolution of an event."""


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
        clock = EventTimer()
        replays = max(1, round(SAMPLE / max(clock.prepared([graph.replay])(), 1e-7)))
        timed = clock.prepared([graph.replay] * replays)
        # The graph reads what the calls read: they have to live as long as it does.
        return lambda: timed() / len(calls)

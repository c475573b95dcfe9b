"""A clock for engines on a GPU, for the turns of netspec.timing.timing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from netspec.timing.timing import Call, EventTimer, Pass

SAMPLE = 2e-3
"""The duration of a sample in seconds: far above the resolution of an event."""


class GraphTimer:
    """CUDA events around replays of a CUDA graph of all calls, so that no engine waits for Python.

    The results of all calls are alive at the same time during the capture, so each call writes its
    own memory.  Autograd computes a gradient in the stream of its forward pass.  That stream must
    be the one that is captured, so calls are created in ``context``.
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
        # The graph reads the operands of the calls, so the calls must live as long as the graph.
        return lambda: timed() / len(calls)

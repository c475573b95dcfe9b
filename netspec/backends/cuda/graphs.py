"""CUDA graphs: launches that replay without Python or a dispatcher between them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import torch

WARM_UP = 2
"""Runs before the capture: they compile kernels, and libraries choose and allocate in them."""

_capturing = Lock()
"""One capture at a time: it synchronises the device."""


def captured(launch: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """What ``launch`` launches on the current device, as a CUDA graph.  It is run a few times
    before, so that nothing is compiled or chosen while it is captured."""
    with _capturing:
        current, stream = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                launch()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using the GPU meanwhile, hence the mode.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            launch()
        current.wait_stream(stream)
        return graph


class Stopwatch:
    """Seconds on the GPU between its making and ``stop``, both in the current stream."""

    def __init__(self) -> None:
        self._first = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._first.record()

    def stop(self) -> None:
        self._last.record()

    def seconds(self) -> float:
        """Waits until the GPU has come to the end."""
        self._last.synchronize()
        return float(self._first.elapsed_time(self._last)) / 1e3

"""CUDA graphs: launches that replay without Python or a dispatcher between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import torch

from netspec.backends.cuda.lanes import Turn

WARM_UP = 2
"""Runs before the capture: they compile kernels, and libraries choose and allocate in them."""

_capturing = Lock()
"""One capture at a time: it synchronises the device."""


def captured(
    run: Callable[[], None], launch: Callable[[], None] | None = None
) -> torch.cuda.CUDAGraph:
    """Return the kernels that ``launch`` launches on the current device, as a CUDA graph.

    ``run`` launches the same kernels in one stream, and stands for ``launch`` if there is none.  It
    runs a few times before, so that nothing is compiled or chosen during the capture.
    """
    with _capturing:
        current, stream = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                run()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using the GPU meanwhile, hence the mode.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            (launch or run)()
        current.wait_stream(stream)
        return graph


def side_by_side(steps: Sequence[Callable[[], None]], turns: Sequence[Turn]) -> None:
    """Launch each step in a stream of its lane, after the steps that it waits for; all have left
    the current stream, and are back in it at the end."""
    main = torch.cuda.current_stream()
    lanes = 1 + max((turn.lane for turn in turns), default=0)
    streams = [main, *(torch.cuda.Stream() for _ in range(lanes - 1))]  # type: ignore[no-untyped-call]
    for stream in streams[1:]:
        stream.wait_stream(main)
    ended: list[torch.cuda.Event] = []
    for step, turn in zip(steps, turns, strict=True):
        stream = streams[turn.lane]
        for number in turn.after:
            stream.wait_event(ended[number])
        with torch.cuda.stream(stream):
            step()
        ended.append(stream.record_event())
    for stream in streams[1:]:
        main.wait_stream(stream)


class Stopwatch:
    """Seconds on the GPU between its making and ``stop``, both in the current stream."""

    def __init__(self) -> None:
        self._first = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._first.record()

    def stop(self) -> None:
        self._last.record()

    def seconds(self) -> float:
        """Return the seconds, once the GPU has come to the end."""
        self._last.synchronize()
        return float(self._first.elapsed_time(self._last)) / 1e3

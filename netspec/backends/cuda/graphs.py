"""CUDA graphs: launches that are replayed without Python or PyTorch's dispatcher."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

import torch

from netspec.backends.cuda.lanes import Turn

WARM_UP = 2
"""Runs before the capture: in them kernels are compiled, and libraries choose algorithms and
allocate memory, none of which is allowed during a capture."""

_capturing = Lock()
"""One capture at a time, because a capture synchronises the device."""


def captured(
    run: Callable[[], None], launch: Callable[[], None] | None = None
) -> torch.cuda.CUDAGraph:
    """Return a CUDA graph of the kernels that ``launch`` launches on the current device.

    Args:
        run: launches the same kernels in one stream; it runs ``WARM_UP`` times before the capture.
        launch: launches the kernels during the capture, in several streams; by default ``run``.
    """
    with _capturing:
        current, stream = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                run()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            # The mode allows other threads to use the GPU during the capture.
            with (
                _collector_off(),
                _own_workspaces(),
                torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
            ):
                (launch or run)()
        finally:
            # If a capture fails, PyTorch leaves its stream as the current one.
            torch.cuda.set_stream(current)
        current.wait_stream(stream)
        return graph


@contextmanager
def _collector_off() -> Iterator[None]:
    """Turn Python's garbage collector off: it could free another CUDA graph during the capture,
    and CUDA refuses that (pytorch#161037)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _own_workspaces() -> Iterator[None]:
    """Give the graph workspaces of cuBLAS that nothing else uses.

    PyTorch keeps one for each stream, streams repeat after 32, and a graph keeps the address.  So
    two graphs that are replayed at the same time could write to the same workspace.  If none
    exists, PyTorch allocates one during the capture, in the memory of the graph.  Afterwards it is
    forgotten, so that no other call uses it.
    """
    torch._C._cuda_clearCublasWorkspaces()
    try:
        yield
    finally:
        torch._C._cuda_clearCublasWorkspaces()


def side_by_side(steps: Sequence[Callable[[], None]], turns: Sequence[Turn]) -> None:
    """Launch each step in the stream of its lane, after the steps that it depends on.

    All streams wait for the current stream first, and the current stream waits for all of them at
    the end: a capture requires that every stream begins and ends there.
    """
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
    """A clock of the GPU: the seconds from its creation to ``stop``, in the current stream."""

    def __init__(self) -> None:
        self._first = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._first.record()

    def stop(self) -> None:
        self._last.record()

    def seconds(self) -> float:
        """Wait until the GPU has reached ``stop``; return the seconds."""
        self._last.synchronize()
        return float(self._first.elapsed_time(self._last)) / 1e3

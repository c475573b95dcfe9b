"""A plan bound to one batch size: its memory, its calls, and on a GPU their CUDA graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Lock
from time import perf_counter

import torch
from torch import Tensor

from netspec.backends.cuda.binding import bound_steps
from netspec.backends.cuda.graphs import Stopwatch, captured, side_by_side
from netspec.backends.cuda.implementation import Call
from netspec.backends.cuda.lanes import apart, turns
from netspec.backends.memory import PlanMemory, in_batches
from netspec.ir.graph import Graph
from netspec.lowering.backend import PackedStage, Timed
from netspec.lowering.plan import Plan, Step

FEW = 8
"""The largest batch for which steps run in parallel, in buffers that do not share memory.

Larger batches keep the GPU busy with one step at a time.
"""

AHEAD = 20_000_000
"""Clocks that the GPU waits before steps are timed, about 10 ms: more than Python takes to launch
the steps of a net."""


class BoundPlan:
    """A plan with memory for up to ``batch`` images.

    Only one run at a time: threads wait for each other, because all runs use the same memory.
    """

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        stages: Mapping[str, PackedStage],
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        if device.type == "cuda" and batch <= FEW:
            plan = apart(plan)
        # Inference tensors could not be written by a later run outside of inference mode.
        with torch.inference_mode(False), self._on(device):
            arena = torch.zeros(plan.arena * batch, dtype=dtype, device=device)
            self.memory = PlanMemory(plan, in_batches(plan, batch), arena)
            self.steps = bound_steps(graph, plan, stages, self.memory)
        self._turns = turns(plan)
        self.device, self._is_gpu = device, device.type == "cuda"
        self._lock = Lock()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._done: torch.cuda.Event | None = None

    def run(self, images: Sequence[Tensor], out: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
        """Return the outputs of a batch, in new memory or in ``out``."""
        with self._lock, torch.no_grad(), self._on(self.device):
            if self._is_gpu and self._graph is None:
                self._graph = captured(self._launch, self._launch_side_by_side)
            self._begin(images)
            if self._graph is None:
                self._launch()
            else:
                self._graph.replay()
            results = self.memory.hand_out(len(images[0]), out)
            self._end()
            return results

    def profile(self, images: Sequence[Tensor]) -> list[Timed]:
        """Return the time of each step, launched one by one.

        The times are those of the second of two runs: the first one compiles kernels.
        """
        with self._lock, torch.no_grad(), self._on(self.device):
            for _ in range(2):
                self._begin(images)
                times = self._timed()
                self._end()
            return times

    def _begin(self, images: Sequence[Tensor]) -> None:
        """Copy the images in after the last run has ended, and zeros after them.

        The lock alone is not enough: it is released when the last run is launched, while the GPU
        may still read the memory, perhaps in another stream.
        """
        if self._done is not None:
            torch.cuda.current_stream().wait_event(self._done)
        self.memory.take_in(images)

    def _end(self) -> None:
        if self._is_gpu:
            self._done = torch.cuda.current_stream().record_event()

    def _launch(self) -> None:
        for _, calls in self.steps:
            _run(calls)

    def _launch_side_by_side(self) -> None:
        steps = [partial(_run, calls) for _, calls in self.steps]
        side_by_side(steps, self._turns)

    def _timed(self) -> list[Timed]:
        clocks: list[tuple[Step, Stopwatch | _Clock]] = []
        if self._is_gpu:
            # Launches queue up meanwhile, so that the times of short steps are not Python's.
            torch.cuda._sleep(AHEAD)  # type: ignore[no-untyped-call]
        for step, calls in self.steps:
            clock: Stopwatch | _Clock = Stopwatch() if self._is_gpu else _Clock()
            _run(calls)
            clock.stop()
            clocks.append((step, clock))
        return [Timed(step.stage, step.implementation, clock.seconds()) for step, clock in clocks]

    @staticmethod
    def _on(device: torch.device) -> AbstractContextManager[object]:
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _run(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


class _Clock:
    """A clock of the CPU: the seconds from its creation to ``stop``."""

    def __init__(self) -> None:
        self._started = perf_counter()

    def stop(self) -> None:
        self._ended = perf_counter()

    def seconds(self) -> float:
        return self._ended - self._started

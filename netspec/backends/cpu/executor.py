"""Running a plan on the CPU: frames, each with memory of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock

import torch
from torch import Tensor

from netspec.backends.cpu.frame import Frame
from netspec.backends.cpu.onednn.library import missing, share_threads
from netspec.backends.memory import nothing
from netspec.lowering.backend import Executor, Part, Timed
from netspec.lowering.plan import Plan

KEPT = 4
"""Of how many sizes of batch, and numbers of threads, frames are kept."""


class CpuExecutor(Executor):
    """A plan with its tensors.

    A run takes a free frame for its batch and its number of threads, or makes one, and gives it
    back: threads may run at the same time, each in memory of its own.  Frames of the four pairs of
    batch and number of threads that ran last are kept.
    """

    def __init__(self, plan: Plan, parts: Mapping[str, Part]) -> None:
        self._plan, self._parts = plan, parts
        self._free: dict[tuple[int, int], list[Frame]] = {}
        self._lock = Lock()

    def __call__(self, *images: Tensor, out: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
        if len(images[0]) == 0:
            return tuple(out) if out is not None else nothing(self._plan, images[0].dtype, "cpu")
        with self._frame(images) as frame:
            return frame.run(images, out)

    def profile(self, *images: Tensor) -> list[Timed]:
        if len(images[0]) == 0:
            return []
        with self._frame(images) as frame:
            return frame.profile(images)

    @contextmanager
    def _frame(self, images: Sequence[Tensor]) -> Iterator[Frame]:
        """A frame for a batch, which nobody else has meanwhile."""
        # what was chosen and packed is of one type, and autocast would change it here and there
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            threads = torch.get_num_threads() if missing() else share_threads()
            key = len(images[0]), threads
            with self._lock:
                free = self._free.pop(key, [])
                self._free[key] = free  # the last one is the one that ran last
                for oldest in [*self._free][:-KEPT]:
                    del self._free[oldest]
                frame = free.pop() if free else None
            if frame is None:
                frame = Frame(self._plan, self._parts, len(images[0]), images[0].dtype)
            try:
                yield frame
            finally:
                free.append(frame)

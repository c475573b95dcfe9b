"""Run a plan on the CPU, in bound plans that each have their own memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock

import torch
from torch import Tensor

from netspec.backends.cpu.bound import BoundPlan
from netspec.backends.cpu.onednn.library import missing, share_threads
from netspec.backends.memory import nothing
from netspec.lowering.backend import Executor, PackedStage, Timed
from netspec.lowering.plan import Plan
from netspec.lowering.ranges import Range, guards

KEPT = 4
"""The number of pairs (batch size, number of threads) for which bound plans are kept.

Each bound plan holds an arena, so memory would grow without limit if all were kept.
"""


class CpuExecutor(Executor):
    """A plan with its parameters, for any batch size.

    A run takes a free bound plan for its batch size and number of threads, or creates one, and
    returns it afterwards.  So several threads can run at the same time, each in its own memory.
    The bound plans of the ``KEPT`` pairs of batch size and number of threads that ran last are
    kept.
    """

    def __init__(self, plan: Plan, stages: Mapping[str, PackedStage]) -> None:
        self._plan, self._stages = plan, stages
        self.guards = guards(
            plan,
            {
                stage: Range(min(implementation.domain(problem, growth), within), growth)
                for stage, (implementation, problem, _, growth, within) in stages.items()
            },
        )
        self._free: dict[tuple[int, int], list[BoundPlan]] = {}
        self._lock = Lock()

    def __call__(
        self, *images: Tensor, out: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, ...] | None:
        if len(images[0]) == 0:
            return tuple(out) if out is not None else nothing(self._plan, images[0].dtype, "cpu")
        with self._bound_plan(images) as bound_plan:
            return bound_plan.run(images, out)

    def profile(self, *images: Tensor) -> list[Timed]:
        if len(images[0]) == 0:
            return []
        with self._bound_plan(images) as bound_plan:
            return bound_plan.profile(images)

    @contextmanager
    def _bound_plan(self, images: Sequence[Tensor]) -> Iterator[BoundPlan]:
        """Yield a bound plan for a batch; no other thread uses it at the same time."""
        with _as_planned():
            threads = torch.get_num_threads() if missing() else share_threads()
            key = len(images[0]), threads
            # The lock protects only the table.  Binding and running happen outside of it, so that
            # threads do not wait for each other.
            with self._lock:
                free = self._free.pop(key, [])
                self._free[key] = free  # move the pair to the end: it ran last
                for oldest in [*self._free][:-KEPT]:
                    del self._free[oldest]
                bound_plan = free.pop() if free else None
            if bound_plan is None:
                bound_plan = BoundPlan(
                    self._plan, self._stages, self.guards, len(images[0]), images[0].dtype
                )
            try:
                yield bound_plan
            finally:
                # If the pair was dropped meanwhile, the bound plan is freed with its list.
                free.append(bound_plan)


def _as_planned() -> AbstractContextManager[object]:
    """Return a context without gradients, and without autocast, which would change types.

    Entering one takes 0.1 ms after the steps of a net have filled the cache, so none is entered
    where both are off.
    """
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return _without_gradients_and_autocast()
    return nullcontext()


@contextmanager
def _without_gradients_and_autocast() -> Iterator[None]:
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        yield

"""Running a plan on a GPU: batches in buckets, each a CUDA graph of launches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

import torch
from torch import Tensor

from netspec.backends.cuda.bound import BoundPlan
from netspec.backends.memory import nothing
from netspec.ir.graph import Graph
from netspec.lowering.backend import Executor, PackedStage, Timed
from netspec.lowering.plan import Plan

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""The sizes of batches that a plan is made ready for."""


def size_for(count: int) -> int:
    """The size of the smallest bucket that holds so many images.

    Raises:
        ValueError: there is none.
    """
    for batch in BATCHES:
        if batch >= count:
            return batch
    raise ValueError(
        f"a batch of {count} images is more than the {BATCHES[-1]} that run at once: split it"
    )


class CudaExecutor(Executor):
    """A plan with its tensors.

    Batches run in buckets of 1, 2, 4, 8, 16, 32, 64, 128 and 256 images, each in the smallest that
    holds it.  For a bucket the plan is bound when that is first needed, with memory that it keeps;
    its first run compiles kernels and captures them into a CUDA graph, later ones replay that.
    Threads may share an executor: runs of one bucket wait for each other.

    In Triton's interpreter, on a CPU, the launches run one by one.
    """

    def __init__(
        self, graph: Graph, plan: Plan, stages: Mapping[str, PackedStage], device: str
    ) -> None:
        self._graph, self._plan, self._stages = graph, plan, stages
        self._device = torch.device(device)
        self._bound_plans: dict[int, BoundPlan] = {}
        self._lock = Lock()

    def __call__(self, *images: Tensor, out: Sequence[Tensor] | None = None) -> tuple[Tensor, ...]:
        if len(images[0]) == 0:
            return (
                tuple(out)
                if out is not None
                else nothing(self._plan, images[0].dtype, self._device)
            )
        return self.bound_plan(images).run(images, out)

    def profile(self, *images: Tensor) -> list[Timed]:
        return self.bound_plan(images).profile(images)

    def bound_plan(self, images: Sequence[Tensor]) -> BoundPlan:
        """The plan as bound for the bucket of a batch.

        Raises:
            ValueError: the batch is larger than the largest bucket.
        """
        batch = size_for(len(images[0]))
        with self._lock:
            if batch not in self._bound_plans:
                self._bound_plans[batch] = BoundPlan(
                    self._graph, self._plan, self._stages, batch, images[0].dtype, self._device
                )
            return self._bound_plans[batch]

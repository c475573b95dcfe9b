"""Run a plan on a GPU: batches run in buckets, each a CUDA graph of launches."""

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
"""The sizes of buckets.

A CUDA graph works for one batch size only.  With powers of two, a bucket is at least half full, and
no more than nine graphs exist.
"""


def size_for(count: int) -> int:
    """Return the size of the smallest bucket for a number of images.

    Raises:
        ValueError: the number is larger than the largest bucket.
    """
    for batch in BATCHES:
        if batch >= count:
            return batch
    raise ValueError(
        f"a batch of {count} images is more than the {BATCHES[-1]} that can run at once: split it"
    )


class CudaExecutor(Executor):
    """A plan with its parameters, for batches up to the largest bucket.

    A batch runs in the smallest bucket of ``BATCHES`` that is large enough.  The first batch of a
    bucket binds the plan to memory, which the bucket keeps, compiles the kernels and captures them
    in a CUDA graph.  Later batches replay the graph.  Threads may share an executor: runs in the
    same bucket wait for each other.

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
        """Return the plan bound for the bucket of a batch.

        Raises:
            ValueError: the batch is larger than the largest bucket.
        """
        batch = size_for(len(images[0]))
        # Held while binding: two threads must not bind the same bucket, each with its own memory.
        with self._lock:
            if batch not in self._bound_plans:
                self._bound_plans[batch] = BoundPlan(
                    self._graph, self._plan, self._stages, batch, images[0].dtype, self._device
                )
            return self._bound_plans[batch]

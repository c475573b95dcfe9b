"""The memory of a plan for one batch size: an arena, and every slot as a view of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netspec.lowering.plan import Plan, Slot
from netspec.runtime.gate import require_memory


class PlanMemory:
    """An arena of ``plan.arena`` elements per image; buffers are at the plan's offsets x batch.

    Args:
        plan: the plan with the buffers.
        batch: the number of images.
        arena: ``plan.arena * batch`` zeros.  They must be zeros: an element that no step writes may
            still be read, and must not be NaN.

    Attributes:
        slots: maps [N, H, W, C], which may be slices of channels, and vectors [N, C].
    """

    def __init__(self, plan: Plan, batch: int, arena: Tensor) -> None:
        self.plan, self.batch, self.arena = plan, batch, arena
        self.slots = [self._view(slot) for slot in plan.slots]

    def _view(self, slot: Slot) -> Tensor:
        buffer = self.plan.buffers[slot.buffer]
        maps = self.values(slot.buffer).view(self.batch, *buffer.shape)
        part = maps.narrow(-1, slot.start, slot.shape.channels)
        is_flat = buffer.shape.is_map and not slot.shape.is_map
        return part[:, 0, 0] if is_flat else part

    def values(self, number: int) -> Tensor:
        """Return all values of a buffer."""
        buffer = self.plan.buffers[number]
        size = buffer.shape.elements * self.batch
        return self.arena.narrow(0, buffer.offset * self.batch, size)

    def take_in(self, images: Sequence[Tensor]) -> None:
        """Copy images [N, C, H, W] to the input slots, and fill the rest of the batch with zeros.

        Raises:
            TypeError: an image is not a dense tensor in memory.
        """
        for slot, image in zip(self.plan.inputs, images, strict=True):
            require_memory(image, self.plan.slots[slot].stage)
            destination = self.slots[slot]
            nchw(destination)[: len(image)].copy_(image)
            destination[len(image) :].zero_()

    def hand_out(self, count: int, out: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
        """Return the outputs of the first ``count`` images, in new memory or in ``out``."""
        results = [nchw(self.slots[i])[:count] for i in self.plan.outputs]
        if out is None:
            return tuple(_cloned(y) for y in results)
        return tuple(destination.copy_(y) for destination, y in zip(out, results, strict=True))


def nothing(plan: Plan, dtype: torch.dtype, device: torch.device | str) -> tuple[Tensor, ...]:
    """Return the outputs of an empty batch."""
    shapes = [plan.slots[i].shape.torch for i in plan.outputs]
    return tuple(torch.empty(0, *shape, dtype=dtype, device=device) for shape in shapes)


def nchw(x: Tensor) -> Tensor:
    """Return a view of a map [N, H, W, C] as [N, C, H, W]; return a vector unchanged."""
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x


def _cloned(y: Tensor) -> Tensor:
    """Return a copy; a map is channels-last in memory."""
    is_map = y.dim() == 4
    return y.clone(memory_format=torch.channels_last if is_map else torch.contiguous_format)

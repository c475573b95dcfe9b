"""The memory of a plan for one batch size: an arena, and every slot as a view of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from netspec.lowering.plan import Plan, Slot
from netspec.runtime.gate import require_memory


class Extent(NamedTuple):
    """The memory of a buffer in an arena: its first element, and the images that it holds."""

    start: int
    images: int


def in_batches(plan: Plan, batch: int) -> list[Extent]:
    """Return extents at the plan's offsets x batch, in ``plan.arena * batch`` elements."""
    return [Extent(buffer.offset * batch, batch) for buffer in plan.buffers]


class PlanMemory:
    """An arena, and every slot as a view of it.

    Args:
        plan: the plan with the buffers.
        extents: of each buffer.
        arena: zeros.  They must be zeros: an element that no step writes may still be read, and
            must not be NaN.

    Attributes:
        slots: maps [N, H, W, C], which may be slices of channels, and vectors [N, C].
    """

    def __init__(self, plan: Plan, extents: Sequence[Extent], arena: Tensor) -> None:
        self.plan, self.extents, self.arena = plan, extents, arena
        self.slots = [self._view(slot) for slot in plan.slots]
        self._outputs = [nchw(self.slots[i]) for i in plan.outputs]

    def _view(self, slot: Slot) -> Tensor:
        buffer = self.plan.buffers[slot.buffer]
        values = self.values(slot.buffer)
        maps = values.view(len(values), *buffer.shape)
        part = maps.narrow(-1, slot.start, slot.shape.channels)
        is_flat = buffer.shape.is_map and not slot.shape.is_map
        return part[:, 0, 0] if is_flat else part

    def part(self, slot: int, images: range) -> Tensor:
        """Return a slot for some images of the batch."""
        return self._of(images, self.slots[slot], self.plan.slots[slot].buffer)

    def _of(self, images: range, values: Tensor, buffer: int) -> Tensor:
        # A buffer that holds one part of the batch at a time has its first image at 0.
        first = images.start if images.stop <= self.extents[buffer].images else 0
        return values[first : first + len(images)]

    def values(self, number: int, images: range | None = None) -> Tensor:
        """Return the values of a buffer for some images, or for all that it holds."""
        start, count = self.extents[number]
        elements = self.plan.buffers[number].shape.elements
        whole = self.arena.narrow(0, start, elements * count).view(count, elements)
        return whole if images is None else self._of(images, whole, number)

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
        results = [y if len(y) == count else y[:count] for y in self._outputs]
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

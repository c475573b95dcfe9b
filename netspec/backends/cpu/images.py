"""Copy images into the memory of a plan."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from netspec.backends.cpu.implementation import run
from netspec.backends.cpu.onednn.layouts import TYPES, channels_last, rows
from netspec.backends.cpu.onednn.library import missing
from netspec.backends.cpu.onednn.primitives import Argument, Memory, launch, reordering
from netspec.backends.cpu.scratch import Caller, Scratch
from netspec.backends.memory import nchw
from netspec.ir.shapes import LARGEST_SIZE
from netspec.runtime.gate import require_memory

Copy = Callable[[Tensor], None]


def copying(slot: Tensor, label: str, scratch: Scratch) -> Copy:
    """Return a function that copies images [N, C, H, W] or vectors [N, C] into a slot.

    Contiguous images are copied by oneDNN, which took a quarter of the time of PyTorch's copy: 0.03
    instead of 0.13 ms for one image of 224x224 on one AVX-512 core.

    The function raises TypeError if its argument is not a dense tensor in memory.

    Args:
        slot: a map [N, H, W, C], or vectors [N, C].
        label: the name of the images in the message.
        scratch: gives temporary memory.
    """
    destination = nchw(slot)

    def copy(images: Tensor) -> None:
        destination.copy_(require_memory(images, label))

    is_reordered = slot.dim() == 4 and slot.shape[3] > 1
    if missing() or not is_reordered or slot.dtype not in TYPES or slot.numel() > LARGEST_SIZE:
        return copy
    sizes = tuple(destination.shape)
    source, target = rows(sizes, slot.dtype), channels_last(sizes, slot.dtype)
    operand = Memory(source, Caller())
    memories = [(Argument.SOURCE, operand), (Argument.DESTINATION, Memory(target, slot))]
    calls = [launch(reordering(source, target), memories, scratch)]

    def copy_contiguous(images: Tensor) -> None:
        require_memory(images, label)
        if images.device.type != "cpu" or not images.is_contiguous() or images.is_neg():
            return copy(images)
        operand.move(images.data_ptr())
        return run(calls)

    return copy_contiguous

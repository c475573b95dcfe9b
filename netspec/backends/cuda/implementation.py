"""The base class of all implementations of the CUDA backend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netspec.backends.memory import nchw
from netspec.kernels.layout import is_interpreted
from netspec.lowering.implementation import Implementation, Problem, Tensors

Call = Callable[[], object]
"""Something that runs: a launch of a Triton kernel, or a few operators of PyTorch."""


@dataclass(frozen=True)
class Target:
    """A device to run on, and how float32 is multiplied there, ``ieee`` or ``tf32``.

    ``cuda`` is a GPU; ``cpu`` runs our kernels in Triton's interpreter, or, where that is off,
    holds the parameters of a net that runs elsewhere; ``meta`` does not have memory.
    """

    device: str
    precision: str = "ieee"

    def cannot_multiply(self, dtype: torch.dtype) -> str:
        """Return why our kernels cannot multiply this type there; an empty text if they can."""
        if self.device == "cpu" and dtype == torch.bfloat16 and is_interpreted():
            return "Triton's interpreter multiplies bfloat16 wrongly (triton#11584)"
        return ""

    def has_descriptors(self, dtype: torch.dtype, *channels: int) -> bool:
        """Return whether maps with so many channels can be moved by tensor descriptors there."""
        if self.device.startswith("cuda"):
            is_able = torch.cuda.get_device_capability(self.device) >= (9, 0)
        else:
            is_able = self.device == "cpu"
        return is_able and all(count * dtype.itemsize % 16 == 0 for count in channels)


class CudaImplementation(Implementation):
    """Computes an operator from given memory into given memory."""

    @abstractmethod
    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        """Return the calls, in order, with everything fixed; none of them chooses anything.

        Args:
            problem: the operator and its sizes; the batch is that of the operands.
            packed: the tensors that it holds.
            x: its operands, maps [N, H, W, C] and vectors [N, C], perhaps slices of channels.
            y: the tensor that the result is written to, or the slices of its channels in order,
                where ``ability`` says that it writes them apart.
        """


def write(y: Tensor, parts: Sequence[Tensor]) -> None:
    """Copy a result in PyTorch's order of axes to where it belongs, or its slices to where they."""
    start = 0
    for part in parts:
        count = part.shape[-1]
        nchw(part).copy_(y.narrow(1, start, count))
        start += count

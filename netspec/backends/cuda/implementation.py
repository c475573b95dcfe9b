"""The base class of all implementations of the CUDA backend."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netspec.backends.memory import nchw
from netspec.kernels.conv import persistent
from netspec.kernels.layout import is_interpreted
from netspec.lowering.implementation import Implementation, Problem, Tensors

Call = Callable[[], object]
"""A call without arguments: the launch of a Triton kernel, or a few operators of PyTorch."""


@dataclass(frozen=True)
class Target:
    """A device, and the precision of products in float32, ``ieee`` or ``tf32``.

    The device ``cuda`` is a GPU.  ``cpu`` runs netspec's kernels in Triton's interpreter; if the
    interpreter is off, it only holds the parameters of a net that will run on another machine.
    ``meta`` does not have memory.
    """

    device: str
    precision: str = "ieee"

    def cannot_multiply(self, dtype: torch.dtype) -> str:
        """Return the reason why netspec's kernels cannot multiply this type there, or ""."""
        if self.device == "cpu" and dtype == torch.bfloat16 and is_interpreted():
            return "Triton's interpreter computes products in bfloat16 wrongly (triton#11584)"
        return ""

    def has_estimates(self, dtype: torch.dtype) -> bool:
        """Return True if :mod:`netspec.backends.cuda.estimates` has estimates: for a GPU, and for
        half precision."""
        return self.device != "cpu" and dtype.itemsize == 2

    @property
    def has_descriptors(self) -> bool:
        """True for a GPU with tensor descriptors, and for ``cpu``."""
        return self.device == "cpu" or (
            self.device.startswith("cuda") and persistent.has_descriptors(torch.device(self.device))
        )


class CudaImplementation(Implementation):
    """An implementation that reads and writes given memory."""

    def measured(self, problem: Problem) -> tuple[str, str] | None:
        """Return the problem and the configuration by the names of :mod:`netspec.kernels.measured`.

        Return None if this is not one configuration of netspec's kernels.
        """
        return None

    def misfit(self, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]) -> str:
        """Return the reason why :meth:`bind` uses another kernel than the named one, or "".

        Whether a kernel fits can depend on addresses, which a plan knows only when it is bound.
        So an implementation falls back; but it is not measured under the name of a kernel that
        does not run.
        """
        return ""

    @abstractmethod
    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        """Return the calls that compute the operator, in order.

        The calls must not choose algorithms when they run, because they run in a CUDA graph.

        Args:
            problem: the operator and its sizes; the batch size is that of the operands.
            packed: its packed tensors.
            x: its operands, maps [N, H, W, C] and vectors [N, C], which may be slices of channels.
            y: the tensor for the result.  If ``ability.apart`` is used, one tensor for each slice
                of its channels, in order.
        """


def write(y: Tensor, parts: Sequence[Tensor]) -> None:
    """Copy a result [N, C, ...] to its buffer, or each slice of its channels to its buffer."""
    start = 0
    for part in parts:
        count = part.shape[-1]
        nchw(part).copy_(y.narrow(1, start, count))
        start += count

"""A kernel launch as data: kernel, grid and arguments.

The same description can run on a GPU or in Triton's interpreter, be compiled ahead of time
(:mod:`netspec.kernels.ahead`), and be stored in a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

OPTIONS = {"enable_fp_fusion": True}
"""Compiler options of all launches: a * b + c becomes one instruction with one rounding."""

MULTIPROCESSORS = 132
"""Number of multiprocessors of an H100 or H200, for which grids of launches are chosen."""


@dataclass(frozen=True)
class Launch:
    """One call of a kernel.

    Attributes:
        kernel: a function with ``@triton.jit``.
        grid: number of programs along each axis; at most three axes.
        arguments: all arguments of the kernel by name, including compile-time constants.
        warps: warps (of 32 threads) per program.
        stages: depth of the software pipeline of its loops.
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: Mapping[str, Any]
    warps: int = 4
    stages: int = 3

    def __call__(self) -> None:
        """Run the kernel on the device of its tensors; an empty grid does nothing."""
        if prod(self.grid) == 0:
            return
        # the tensor of a descriptor is its `base`
        operands = (getattr(a, "base", a) for a in self.arguments.values())
        tensor = next(a for a in operands if isinstance(a, Tensor))
        with torch.cuda.device_of(tensor):
            self.kernel[self.grid](
                **self.arguments, num_warps=self.warps, num_stages=self.stages, **OPTIONS
            )


def multiprocessors(device: torch.device) -> int:
    """Return the number of multiprocessors of a GPU; :data:`MULTIPROCESSORS` for other devices."""
    if device.type != "cuda":
        return MULTIPROCESSORS
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def run(launches: Iterable[Launch]) -> None:
    """Run launches in order."""
    for launch in launches:
        launch()


def blocks(size: int, block: int) -> int:
    """Return the number of blocks that cover ``size``."""
    return -(-size // block)


def power_of_two(size: int) -> int:
    """Return the smallest power of two that is at least ``size``."""
    return 1 << max(0, size - 1).bit_length()

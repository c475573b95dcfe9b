"""A launch is data: a kernel, its grid and its arguments.

So one description of the work runs on a GPU, runs in Triton's interpreter, is compiled ahead for a
GPU that is elsewhere (:mod:`netspec.kernels.ahead`), and can be kept in a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

OPTIONS = {"enable_fp_fusion": True}
"""Compiler options that every launch shares: a * b + c is one rounding."""

MULTIPROCESSORS = 132
"""Of an H100 or H200; how many the grids of launches are cut for."""


@dataclass(frozen=True)
class Launch:
    """One call of a kernel.

    Attributes:
        kernel: a function under ``@triton.jit``.
        grid: programs along each axis, at most three.
        arguments: every argument of the kernel by name, compile-time constants included.
        warps: warps (of 32 threads) a program.
        stages: depth of the software pipeline of its loops.
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: Mapping[str, Any]
    warps: int = 4
    stages: int = 3

    def __call__(self) -> None:
        """Run it on the device of its tensors; a grid with no programs does nothing."""
        if prod(self.grid) == 0:
            return
        operands = (getattr(a, "base", a) for a in self.arguments.values())  # of descriptors too
        tensor = next(a for a in operands if isinstance(a, Tensor))
        with torch.cuda.device_of(tensor):
            self.kernel[self.grid](
                **self.arguments, num_warps=self.warps, num_stages=self.stages, **OPTIONS
            )


def multiprocessors(device: torch.device) -> int:
    """The multiprocessors of a GPU, :data:`MULTIPROCESSORS` for any other device."""
    if device.type != "cuda":
        return MULTIPROCESSORS
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def run(launches: Iterable[Launch]) -> None:
    """Run launches one after the other."""
    for launch in launches:
        launch()


def blocks(size: int, block: int) -> int:
    """How many blocks cover ``size``."""
    return -(-size // block)


def power_of_two(size: int) -> int:
    """The smallest power of two that is not below ``size``."""
    return 1 << max(0, size - 1).bit_length()

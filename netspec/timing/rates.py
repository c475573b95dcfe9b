"""The rates of a machine: the fastest that several calls with known work show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from netspec.backends.cpu.conv import OneDnnConv
from netspec.backends.cpu.measure import bound
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem
from netspec.timing.timing import Call

SIZE = 2048
"""Rows and columns of the matrices whose product is timed."""

COPIED = 2**28
"""Bytes of the copy, and of the matrix that is read: far more than a cache holds."""

GPU_SIZE, GPU_COPIED = 8192, 2**30
"""The same for a GPU, where smaller operands would not use all multiprocessors."""

CONVOLUTIONS = ((14, 256, 1), (7, 512, 8))
"""Height and width, channels and filters, and batch of the 3x3 convolutions that are timed.  On an
AVX-512 CPU oneDNN reaches its highest rates with them: weights and maps stay in the L2 cache."""

HOST = torch.device("cpu")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


class Yardstick(NamedTuple):
    """A call with known work: the operations of a product, or the bytes that it moves."""

    call: Call
    operations: float = 0
    bytes: int = 0


class Rates(NamedTuple):
    """Rates of a machine.

    Attributes:
        product: operations per second; a multiply-add is two operations.
        memory: bytes per second that are read from memory or written to it.
        cache: bytes of the last-level cache.  Infinity if unknown: then any data may be in the
            cache, and no floor includes a time for memory.
    """

    product: float
    memory: float
    cache: float = inf

    @staticmethod
    def of(
        yardsticks: Mapping[str, Yardstick],
        seconds: Mapping[str, float],
        device: torch.device = HOST,
    ) -> Rates:
        """Return the fastest rates, from the shortest time of each yardstick."""
        measured = [(one, seconds[name]) for name, one in yardsticks.items()]
        return Rates(
            max(one.operations / time for one, time in measured),
            max(one.bytes / time for one, time in measured),
            cache_size(device),
        )

    def least(self, operations: float, bytes: float) -> float:
        """Return the shortest time in seconds for some operations and bytes.

        Bytes that fit in the last-level cache take no time: they may be there already.
        """
        return max(operations / self.product, max(0.0, bytes - self.cache) / self.memory)


def yardsticks(dtype: torch.dtype, device: torch.device = HOST) -> dict[str, Yardstick]:
    """Return calls by name: products in the type, and reads and writes of memory.

    Several of each, because none is the fastest on all machines: on AMD's CPUs PyTorch's matrix
    product reaches less than half of the rate of oneDNN's convolutions.
    """
    size, copied = (GPU_SIZE, GPU_COPIED) if device.type == "cuda" else (SIZE, COPIED)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    # Not zeros: the system maps zeros that were never written to a single page, which is cached.
    x = torch.ones(copied, dtype=torch.uint8, device=device)
    y = torch.empty_like(x)
    matrix, vector = x.view(dtype).view(-1, size), torch.ones(size, dtype=dtype, device=device)
    return {
        "matrix product": Yardstick(lambda: a @ b, operations=2 * size**3),
        **(dict(_convolutions(dtype)) if device.type == "cpu" else {}),
        "copy": Yardstick(lambda: y.copy_(x), bytes=2 * copied),
        "matrix-vector product": Yardstick(lambda: matrix @ vector, bytes=copied),
    }


def _convolutions(dtype: torch.dtype) -> Iterator[tuple[str, Yardstick]]:
    """Yield convolutions by oneDNN, or by PyTorch where oneDNN does not run."""
    implementation = OneDnnConv()
    for size, channels, batch in CONVOLUTIONS:
        op = Conv(kernel=(3, 3), count=channels, pad=(1, 1, 1, 1), bias=False)
        problem = Problem(op, (Shape((size, size, channels)),), dtype, batch)
        x = torch.randn(batch, size, size, channels).to(dtype)
        weight = torch.randn(channels, channels, 3, 3).to(dtype)
        operations = implementation.operations(problem)
        name = f"convolution {size}x{size}x{channels}"
        if implementation.refuses(problem):
            maps = x.permute(0, 3, 1, 2)
            call: Call = _by_pytorch(maps, weight)
        else:
            packed = implementation.pack(problem, {"weight": weight})
            call = bound(implementation, problem, packed, [x], torch.empty_like(x))
        yield name, Yardstick(call, operations=operations)


def _by_pytorch(x: torch.Tensor, weight: torch.Tensor) -> Call:
    return lambda: F.conv2d(x, weight, padding=1)


def cache_size(device: torch.device = HOST, folder: Path = CACHES) -> float:
    """Return the bytes of the last-level cache; infinity if the system does not report them."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size
    try:
        sizes = [path.read_text(encoding="ascii").strip() for path in folder.glob("index*/size")]
        return max(_bytes(size) for size in sizes)
    except (OSError, ValueError):  # no such folder, no file in it, or a text of another form
        return inf


def _bytes(size: str) -> int:
    """Return the bytes of a size as the system writes it: ``32768K``."""
    return int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]] if size[-1:] in "KM" else int(size)

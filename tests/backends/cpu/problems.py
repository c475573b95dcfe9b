"""Random problems for every operator that the CPU backend has implementations of."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from hypothesis import strategies as st

from netspec.backends.cpu import IMPLEMENTATIONS, CpuBackend
from netspec.backends.cpu.implementation import CpuImplementation
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_add import ConvAdd
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.operator import Operator
from netspec.ir.ops.add import Add
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.mul import Mul
from netspec.ir.ops.softmax import Softmax
from netspec.ir.shapes import Kernel, Shape, ShapeError
from netspec.lowering.implementation import Problem
from tests.backends.cpu.activations import CONVOLVED

CHANNELS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 127, 129, 255, 257]
"""Around the blocks of a library, and most of them odd: where it reads in pairs or in vectors it is
the last ones that it reads too far."""

FEW_CHANNELS = CHANNELS[:13]


READ_TOO_FAR = (
    "net o\ninput image 9x8x127\nC: conv 9x7, 64\n",
    "net o\ninput image 12x5x257\nC: conv 10x5, 33 | relu\nP: maxpool 2x1/1\n",
    "net o\ninput image 11x10x47\nC: conv 11x10, 32\nF: fc 7\n",
)
"""Nets of which oneDNN's preferred implementation in bfloat16 reads beyond the operand."""


@st.composite
def problems(
    draw: st.DrawFn, dtype: torch.dtype, kinds: tuple[type[Operator], ...] = tuple(IMPLEMENTATIONS)
) -> Problem:
    """A problem of one of ``kinds``; kernels are as large as the map now and then."""
    one = lambda values: draw(st.sampled_from(values))  # noqa: E731
    kind, height, width = one(kinds), draw(st.integers(1, 12)), draw(st.integers(1, 12))
    channels, batch = one(CHANNELS), draw(st.integers(1, 3))
    window: dict[str, Any] = {
        "kernel": Kernel(
            min(height, one([1, 2, 3, 5, height])), min(width, one([1, 2, 3, 5, width]))
        ),
        "stride": one([(1, 1), (1, 1), (2, 2), (3, 1), (1, 3)]),
        "pad": one([(0, 0, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (2, 0, 1, 0)]),
        "round": one(["floor", "ceil"]),
    }
    maps = [Shape((height, width, channels))]
    vectors = [Shape((one([*CHANNELS, height * width * channels]),))]
    op: Operator
    if issubclass(kind, Conv):
        groups = one([1, 1, 1, 2, 3, one(CHANNELS)])
        seen, count = (one(CHANNELS if groups == 1 else FEW_CHANNELS) for _ in range(2))
        if groups > 3:  # depthwise
            seen = count = 1
        rest: dict[str, Any] = {
            "dilation": one([(1, 1), (1, 1), (2, 1)]),
            "bias": draw(st.booleans()),
        }
        if kind is ConvActivation:
            rest["activation"] = one([*CONVOLVED.values()])
        op = kind(count=groups * count, groups=groups, **rest, **window)
        maps = [Shape((height, width, groups * seen))]
        if issubclass(kind, ConvAdd):
            with suppress(ShapeError):  # refused below
                maps.append(op.shape(maps))
    elif issubclass(kind, FullyConnected):
        op, maps = kind(count=one(CHANNELS), bias=draw(st.booleans())), one([maps, vectors])
    elif issubclass(kind, AvgPool):
        op = kind(count_pad=draw(st.booleans()), **window)
    elif issubclass(kind, MaxPool):
        op = kind(dilation=one([(1, 1), (1, 1), (2, 1)]), **window)
    elif issubclass(kind, LocalResponseNorm | LrnMaxPool):
        groups = one([1, 1, 2])
        lrn = LocalResponseNorm(n=one([1, 3, 5]), groups=groups)
        op = lrn if kind is LocalResponseNorm else LrnMaxPool(lrn=lrn, pool=MaxPool(**window))
        maps = [Shape((height, width, groups * channels))]
    elif issubclass(kind, Concat):
        counts = draw(st.lists(st.sampled_from(CHANNELS), min_size=2, max_size=5))
        is_map = draw(st.booleans())
        op, maps = kind(), [Shape((height, width, n) if is_map else (n,)) for n in counts]
    elif issubclass(kind, Add | Mul):
        sizes = [*maps, Shape((1, 1, channels))] if kind is Mul else one([maps, vectors])
        op, maps = kind(), draw(st.lists(st.sampled_from(sizes), min_size=1, max_size=4))
    elif issubclass(kind, BatchNorm):
        op, maps = kind(eps=1e-3), one([maps, vectors])
    else:
        assert issubclass(kind, Softmax | GlobalAveragePool), f"draw {kind} here"
        op = kind()
        maps = one([maps, vectors]) if kind is Softmax else maps
    problem = Problem(op, tuple(maps), dtype, batch)
    try:
        assert problem.output
    except ShapeError:
        return draw(problems(dtype, kinds))
    return problem


def implementations_of(problem: Problem) -> list[CpuImplementation]:
    """Every implementation of an operator that solves this problem."""
    return CpuBackend().implementations(problem)

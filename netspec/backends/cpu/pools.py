"""Pools by PyTorch's channels-last kernels, with padding and overhang left to them where they can.

Filling a map's rim by hand copies the map, which takes longer than pooling it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from netspec.backends.cpu.way import Call, Way
from netspec.backends.implementation import Held, Work
from netspec.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.fused.maxpool_relu import MaxPoolRelu
from netspec.operator import pool_padding
from netspec.ops.avgpool import AvgPool
from netspec.ops.maxpool import MaxPool
from netspec.shapes import Shape


def max_pool(op: MaxPool, inputs: Sequence[Shape]) -> Call:
    """Max-pooling of maps of one size."""
    padding = pool_padding(op.windows(inputs))
    if padding is None:
        return lambda x: MaxPool.reference(op, inputs, x)
    kernel, steps, is_ceil = op.kernel.size, op.steps, op.round == "ceil"
    return lambda x: F.max_pool2d(x, kernel, steps, padding, ceil_mode=is_ceil)


class PlainMaxPool(Way):
    """PyTorch's own."""

    name = "torch"

    def bind(self, work: Work, packed: Held) -> Call:
        assert isinstance(work.op, MaxPool)
        pool = max_pool(work.op, work.inputs)
        if isinstance(work.op, MaxPoolRelu):
            return lambda x: pool(x).relu_()
        return pool


class NeighbourMaxPool(Way):
    """The largest of 3x3 neighbours: of three in a column, then of three in a row.

    PyTorch's own writes where each maximum stood as well, eight bytes a value.
    """

    name = "neighbours"

    def refuses(self, work: Work) -> str:
        op = work.op
        assert isinstance(op, MaxPool)
        windows = op.windows(work.inputs)
        if any((w.kernel, w.stride, w.before, w.after) != (3, 1, 1, 1) for w in windows):
            return "it is for windows of 3x3 at stride 1 that keep the size"
        if min(work.inputs[0][:2]) < 3:
            return "the map is smaller than a window"
        if work.batch * work.output.elements < LARGE:
            return "the map is small: eight calls take longer than one that writes more"
        return ""

    def bind(self, work: Work, packed: Held) -> Call:
        return lambda x: _largest(_largest(x, 2), 3)


LARGE = 2**18
"""Values from which on :class:`NeighbourMaxPool` is faster, as measured on two AVX-512 cores."""


def _largest(x: Tensor, axis: int) -> Tensor:
    """The largest of each value and its neighbours along an axis."""
    size = x.shape[axis]
    pair = torch.maximum(x.narrow(axis, 0, size - 1), x.narrow(axis, 1, size - 1))
    y = torch.empty_like(x)
    inside = pair.narrow(axis, 0, size - 2), pair.narrow(axis, 1, size - 2)
    torch.maximum(*inside, out=y.narrow(axis, 1, size - 2))
    y.narrow(axis, 0, 1).copy_(pair.narrow(axis, 0, 1))
    y.narrow(axis, size - 1, 1).copy_(pair.narrow(axis, size - 2, 1))
    return y


class PlainAvgPool(Way):
    """PyTorch's own, and the bias and the ReLU in place."""

    name = "torch"

    def bind(self, work: Work, packed: Held) -> Call:
        assert isinstance(work.op, AvgPool)
        pool = _avg_pool(work.op, work.inputs)
        if not isinstance(work.op, AvgPoolBias):
            return pool
        bias = packed["bias"].reshape(-1, 1, 1)
        if isinstance(work.op, AvgPoolBiasRelu):
            return lambda x: pool(x).add_(bias).relu_()
        return lambda x: pool(x).add_(bias)


def _avg_pool(op: AvgPool, inputs: Sequence[Shape]) -> Call:
    padding = pool_padding(op.windows(inputs))
    if padding is None:
        return lambda x: AvgPool.reference(op, inputs, x)
    kernel, steps, is_ceil = op.kernel.size, op.steps, op.round == "ceil"
    counts = op.count_pad is True

    def call(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, kernel, steps, padding, ceil_mode=is_ceil, count_include_pad=counts)

    return call

"""Pools: by oneDNN, and by PyTorch's channels-last kernels where the library is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from netspec.backends.cpu.direct import Direct
from netspec.backends.cpu.implementation import Call, CpuImplementation
from netspec.backends.cpu.onednn.layouts import Layout, activations, channels_last
from netspec.backends.cpu.onednn.primitives import (
    Algorithm,
    Argument,
    Description,
    Launch,
    Memory,
    launch,
    pooling,
)
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.memory import nchw
from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.growth import Growth
from netspec.ir.operator import WindowOperator, pool_padding
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem, Tensors


class OneDnnPool(Direct):
    """Maxima or averages of windows, and then a bias and a ReLU."""

    def lacks(self, problem: Problem) -> str:
        assert isinstance(problem.op, WindowOperator)
        windows = problem.op.windows(problem.inputs)
        counts = isinstance(problem.op, AvgPool) and problem.op.count_pad
        if counts and any(w.overhang for w in windows):
            return "oneDNN counts what hangs over the edge as it counts padding"
        return ""

    def describe(self, problem: Problem) -> None:
        self.described(problem)

    def described(self, problem: Problem) -> Description:
        """Return the description of the primitive."""
        op = problem.op
        assert isinstance(op, WindowOperator)
        down, right = op.windows(problem.inputs)
        return pooling(
            activations(problem.batch, problem.inputs[0], problem.dtype),
            activations(problem.batch, problem.output, problem.dtype),
            _algorithm(op),
            kernel=op.kernel,
            stride=op.stride,
            before=(down.before, right.before),
            after=(down.tail, right.tail),
            bias=_bias(problem) if isinstance(op, AvgPoolBias) else None,
            relu=isinstance(op, MaxPoolRelu | AvgPoolBiasRelu),
        )

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        here = replace(problem, batch=len(y))
        memories = [
            (Argument.SOURCE, Memory(activations(len(y), problem.inputs[0], problem.dtype), x[0])),
            (Argument.DESTINATION, Memory(activations(len(y), problem.output, problem.dtype), y)),
        ]
        if "bias" in packed:
            memories.append((Argument.FIRST_POST_OP, Memory(_bias(problem), packed["bias"])))
        return [launch(self.described(here), memories, scratch)]


def _algorithm(op: WindowOperator) -> Algorithm:
    if not isinstance(op, AvgPool):
        return Algorithm.POOLING_MAX
    if op.count_pad:
        return Algorithm.POOLING_AVG_INCLUDE_PADDING
    return Algorithm.POOLING_AVG_EXCLUDE_PADDING


def _bias(problem: Problem) -> Layout:
    return channels_last((1, problem.output.channels, 1, 1), problem.dtype)


class OneDnnGap(OneDnnPool):
    """The mean of a whole map: an average of one window."""

    def lacks(self, problem: Problem) -> str:
        return ""

    def described(self, problem: Problem) -> Description:
        height, width, _ = problem.inputs[0]
        return pooling(
            activations(problem.batch, problem.inputs[0], problem.dtype),
            activations(problem.batch, problem.output, problem.dtype),
            Algorithm.POOLING_AVG_EXCLUDE_PADDING,
            kernel=(height, width),
            stride=(1, 1),
            before=(0, 0),
            after=(0, 0),
        )


Pool = Callable[[Tensor], Tensor]
"""From a map [N, C, H, W] to another."""


class PlainPool(CpuImplementation):
    """PyTorch's own, and a bias and a ReLU in place, with padding and overhang left to it where
    it can: filling a map's rim by hand copies the map, which takes longer than pooling it."""

    name = "torch"

    def domain(self, problem: Problem, growth: Growth) -> float:
        if not isinstance(problem.op, AvgPoolBias):
            return inf
        # commute_avgpool put it after a convolution, which may overflow where the spec's does not
        return growth.domain(torch.finfo(problem.dtype).max)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        op, source, result = problem.op, nchw(x[0]), nchw(y)
        pool = plain_pool(op, problem.inputs)
        calls: list[Call] = [lambda: result.copy_(pool(source))]
        if isinstance(op, AvgPoolBias):
            bias = packed["bias"].reshape(-1, 1, 1)
            calls.append(lambda: result.add_(bias))
        if isinstance(op, MaxPoolRelu | AvgPoolBiasRelu):
            calls.append(result.relu_)
        return calls


def plain_pool(op: object, inputs: Sequence[Shape]) -> Pool:
    """Return max-pooling or average pooling of maps of one size by PyTorch."""
    assert isinstance(op, MaxPool | AvgPool)
    padding = pool_padding(op.windows(inputs))
    kernel, stride, is_ceil = op.kernel, op.stride, op.round == "ceil"
    if isinstance(op, MaxPool):
        if padding is None:
            return lambda x: MaxPool.reference(op, inputs, x)
        return lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=is_ceil)
    if padding is None:
        return lambda x: AvgPool.reference(op, inputs, x)
    counts = op.count_pad is True
    return lambda x: F.avg_pool2d(x, kernel, stride, padding, is_ceil, counts)

"""Pools by oneDNN, and by PyTorch's channels-last kernels if the library is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from netspec.backends.cpu.activations import RELU
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
    """Max-pooling or average pooling, then a bias and a ReLU if the operator has them."""

    def lacks(self, problem: Problem) -> str:
        assert isinstance(problem.op, WindowOperator)
        windows = problem.op.windows(problem.inputs)
        counts = isinstance(problem.op, AvgPool) and problem.op.count_pad
        if counts and any(w.overhang for w in windows):
            return "oneDNN also counts the part of a window beyond the padding"
        return ""

    def describe(self, problem: Problem) -> None:
        self.described(problem)

    def described(self, problem: Problem) -> Description:
        """Return the description of the pooling primitive."""
        op = problem.op
        assert isinstance(op, WindowOperator)
        down, right = op.windows(problem.inputs)
        return pooling(
            activations(problem.batch, problem.inputs[0], problem.dtype),
            activations(problem.batch, problem.output, problem.dtype),
            _algorithm(op),
            kernel=op.kernel,
            stride=op.stride,
            dilation=op.dilation,
            before=(down.before, right.before),
            after=(down.tail, right.tail),
            bias=_bias(problem) if isinstance(op, AvgPoolBias) else None,
            steps=RELU if isinstance(op, MaxPoolRelu | AvgPoolBiasRelu) else (),
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
    """The mean of a whole map: average pooling with one window."""

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
            dilation=(1, 1),
            before=(0, 0),
            after=(0, 0),
        )


Pool = Callable[[Tensor], Tensor]
"""A function from a map [N, C, H, W] to a map."""


class PlainPool(CpuImplementation):
    """PyTorch's pools, then a bias and a ReLU in place.

    PyTorch adds padding and overhang itself where it can: padding a map before the call copies it,
    which takes longer than the pool.
    """

    name = "torch"

    def domain(self, problem: Problem, growth: Growth) -> float:
        if not isinstance(problem.op, AvgPoolBias):
            return inf
        # commute_avgpool moved this pool after a convolution, which may overflow for values whose
        # average does not.
        return growth.domain(torch.finfo(problem.dtype).max)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        op, source, result = problem.op, nchw(x[0]), nchw(y)
        pool = plain_pool(op, problem.inputs)
        bias = packed["bias"].reshape(-1, 1, 1) if isinstance(op, AvgPoolBias) else None

        def call() -> None:
            result.copy_(pool(source))
            if bias is not None:
                result.add_(bias)
            if isinstance(op, MaxPoolRelu | AvgPoolBiasRelu):
                result.relu_()

        return [call]


def plain_pool(op: object, inputs: Sequence[Shape]) -> Pool:
    """Return a function that pools maps of one size with PyTorch."""
    assert isinstance(op, MaxPool | AvgPool)
    padding = pool_padding(op.windows(inputs))
    kernel, stride, is_ceil = op.kernel, op.stride, op.round == "ceil"
    if isinstance(op, MaxPool):
        if padding is None:
            return lambda x: MaxPool.reference(op, inputs, x)
        return lambda x: F.max_pool2d(x, kernel, stride, padding, op.dilation, is_ceil)
    if padding is None or op.dilation != (1, 1):
        return lambda x: AvgPool.reference(op, inputs, x)
    counts = op.count_pad is True
    return lambda x: F.avg_pool2d(x, kernel, stride, padding, is_ceil, counts)

"""Convolution by oneDNN."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from netspec.backends.cpu.activations import RELU, Steps, steps_of
from netspec.backends.cpu.direct import Multiplying
from netspec.backends.cpu.onednn.layouts import Layout, activations, rows
from netspec.backends.cpu.onednn.library import NoImplementationError
from netspec.backends.cpu.onednn.primitives import Description, convolution
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_add import ConvAdd, ConvAddRelu
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Window
from netspec.lowering.implementation import Problem

READING_PAIRS = ("brgconv", "brgconv_1x1")
"""Implementations of oneDNN that read channels of bfloat16 in pairs.

If the number of channels is odd, they also read the element after the last channel and multiply it
by zero: the first channel of the next pixel or image, or whatever is in memory after the operand.
If that element is infinite or NaN, the result is NaN.
"""


SLOWER_DEPTHWISE = ("brdgmm_dw",)
"""The implementation that oneDNN prefers for depthwise convolutions of maps that are channels-last.

Its next one, jit_dw, is faster in float32 for most layers: on one AVX-512 core at batch 1, 0.088
instead of 0.125 ms for 3x3 of 56x56x144, 0.24 instead of 0.34 ms for 112x112x96, and 7 % slower for
7x7x960.
"""


class OneDnnConv(Multiplying):
    """act(b + w * x), or act(b + w * x + z), with any padding."""

    def operations(self, problem: Problem) -> float:
        return inside(problem)

    def described(self, problem: Problem, weights: Layout) -> Description:
        unsound = READING_PAIRS if has_half_a_pair(problem) else ()
        if is_depthwise(problem):
            with suppress(NoImplementationError):
                faster = self._described(problem, weights, (*unsound, *SLOWER_DEPTHWISE))
                if faster.implementation.startswith("jit_dw:"):
                    return faster
        return self._described(problem, weights, unsound)

    def _described(
        self, problem: Problem, weights: Layout, skipped: tuple[str, ...]
    ) -> Description:
        op = conv_of(problem)
        down, right = op.windows(problem.inputs)
        result = activations(problem.batch, problem.output, problem.dtype)
        return convolution(
            self.source(problem),
            weights,
            rows((op.count,), problem.dtype) if op.bias else None,
            result,
            stride=op.stride,
            dilation=op.dilation,
            before=(down.before, right.before),
            after=(down.tail, right.tail),
            steps=steps_after(op),
            added=result if isinstance(op, ConvAdd) else None,
            skipped=skipped,
        )

    def sizes(self, problem: Problem) -> tuple[int, ...]:
        count, *filter_shape = self.dense_shape(problem)
        groups = conv_of(problem).groups
        return (count, *filter_shape) if groups == 1 else (groups, count // groups, *filter_shape)

    def dense_shape(self, problem: Problem) -> tuple[int, ...]:
        return dense_shape(problem)

    def dense(self, problem: Problem, weight: Tensor) -> Tensor:
        return conv_of(problem).dense(weight)

    def sparse(self, problem: Problem, weight: Tensor) -> Tensor:
        return conv_of(problem).sparse(weight)


def steps_after(op: Conv) -> Steps:
    """Return the steps that follow the convolution."""
    if isinstance(op, ConvActivation):
        return steps_of(op.activation)
    return RELU if isinstance(op, ConvRelu | ConvAddRelu) else ()


def conv_of(problem: Problem) -> Conv:
    """Return the operator of a problem, a convolution."""
    assert isinstance(problem.op, Conv)
    return problem.op


def dense_shape(problem: Problem) -> tuple[int, ...]:
    """Return the sizes of the dense weight, which has zeros where a table has no connection."""
    op = conv_of(problem)
    return op.count, op.channels_seen(problem.inputs), *op.kernel


def inside(problem: Problem) -> float:
    """Return the operations of a convolution without those on padding, which oneDNN skips."""
    down, right = conv_of(problem).windows(problem.inputs)
    return problem.operations * share_inside(down) * share_inside(right)


def share_inside(window: Window) -> float:
    """Return the share of the taps of all windows that are on the input, not on its padding."""
    taps = sum(
        0 <= start + tap * window.dilation < window.size_in
        for start in window.starts()
        for tap in range(window.kernel)
    )
    return taps / (window.kernel * window.size_out)


def is_depthwise(problem: Problem) -> bool:
    """Return True if each filter of a convolution in float32 sees one channel of its own."""
    op, channels = conv_of(problem), problem.inputs[0].channels
    return problem.dtype == torch.float32 and op.groups == op.count == channels > 1


def has_half_a_pair(problem: Problem) -> bool:
    """Return True if a filter sees an odd number of channels in bfloat16."""
    return (
        problem.dtype == torch.bfloat16 and conv_of(problem).channels_seen(problem.inputs) % 2 == 1
    )

"""Convolutions by oneDNN."""

from __future__ import annotations

import torch
from torch import Tensor

from netspec.backends.cpu.direct import Multiplying
from netspec.backends.cpu.onednn.layouts import Layout, activations, rows
from netspec.backends.cpu.onednn.primitives import Description, convolution
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.ops.conv import Conv
from netspec.lowering.implementation import Work

READING_PAIRS = ("brgconv", "brgconv_1x1")
"""Implementations that read channels of bfloat16 in pairs.  Where they are odd, what lies after
the last one is read, too, and multiplied by zero: the next pixel's first, the next image's, or what
happens to lie after the operand.  Where that is infinite or NaN, so is the product."""


class OneDnnConv(Multiplying):
    """act(b + w * x), padding of every kind included."""

    def described(self, work: Work, weights: Layout) -> Description:
        op = conv_of(work)
        down, right = op.windows(work.inputs)
        return convolution(
            activations(work.batch, work.inputs[0], work.dtype),
            weights,
            rows((op.count,), work.dtype) if op.bias else None,
            activations(work.batch, work.output, work.dtype),
            stride=op.stride,
            dilation=op.dilation,
            before=(down.before, right.before),
            after=(down.tail, right.tail),
            relu=isinstance(op, ConvRelu),
            unsound=READING_PAIRS if has_half_a_pair(work) else (),
        )

    def sizes(self, work: Work) -> tuple[int, ...]:
        count, *filter_shape = self.dense_shape(work)
        groups = conv_of(work).groups
        return (count, *filter_shape) if groups == 1 else (groups, count // groups, *filter_shape)

    def dense_shape(self, work: Work) -> tuple[int, ...]:
        return dense_shape(work)

    def dense(self, work: Work, weight: Tensor) -> Tensor:
        return conv_of(work).dense(weight)

    def sparse(self, work: Work, weight: Tensor) -> Tensor:
        return conv_of(work).sparse(weight)


def conv_of(work: Work) -> Conv:
    """Return the operator, which is a convolution."""
    assert isinstance(work.op, Conv)
    return work.op


def dense_shape(work: Work) -> tuple[int, ...]:
    """Return the sizes of a weight that has zeros where a table connects nothing."""
    op = conv_of(work)
    return op.count, op.channels_seen(work.inputs), *op.kernel


def has_half_a_pair(work: Work) -> bool:
    """Return whether a filter sees an odd number of channels of bfloat16."""
    return work.dtype == torch.bfloat16 and conv_of(work).channels_seen(work.inputs) % 2 == 1

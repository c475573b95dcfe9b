"""Convolutions by oneDNN."""

from __future__ import annotations

from torch import Tensor

from netspec.backends.cpu.direct import Multiplying
from netspec.backends.cpu.onednn.primitives import (
    Description,
    Layout,
    activations,
    convolution,
    rows,
)
from netspec.backends.implementation import Work
from netspec.fused.conv_relu import ConvRelu
from netspec.ops.conv import Conv


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
            steps=op.stride,
            dilation=op.dilation,
            before=(down.before, right.before),
            after=(down.tail, right.tail),
            relu=isinstance(op, ConvRelu),
        )

    def sizes(self, work: Work) -> tuple[int, ...]:
        count, *rest = self.dense_shape(work)
        groups = conv_of(work).groups
        return (count, *rest) if groups == 1 else (groups, count // groups, *rest)

    def dense_shape(self, work: Work) -> tuple[int, ...]:
        op = conv_of(work)
        return op.count, op.channels_seen(work.inputs), *op.kernel

    def dense(self, work: Work, weight: Tensor) -> Tensor:
        return conv_of(work).dense(weight)

    def sparse(self, work: Work, weight: Tensor) -> Tensor:
        return connected(conv_of(work), weight)


def conv_of(work: Work) -> Conv:
    """The operator, which is a convolution."""
    assert isinstance(work.op, Conv)
    return work.op


def connected(op: Conv, dense: Tensor) -> Tensor:
    """The kernels of connected pairs, where a table says which those are."""
    if op.connect is None:
        return dense
    filters, maps = zip(*op.pairs, strict=True) if op.pairs else ((), ())
    return dense[list(filters), list(maps)]

"""Fully connected layers by oneDNN."""

from __future__ import annotations

from netspec.backends.cpu.direct import Multiplying
from netspec.backends.cpu.onednn.layouts import Layout, activations, channels_last, rows
from netspec.backends.cpu.onednn.primitives import Description, inner_product
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.ops.fc import FullyConnected
from netspec.lowering.implementation import Work


class OneDnnLinear(Multiplying):
    """act(w x + b), of a vector or of a map as it lies."""

    def described(self, work: Work, weights: Layout) -> Description:
        op = _fc(work)
        return inner_product(
            activations(work.batch, work.inputs[0], work.dtype),
            weights,
            rows((op.count,), work.dtype) if op.bias else None,
            activations(work.batch, work.output, work.dtype),
            relu=isinstance(op, FullyConnectedRelu),
        )

    def sizes(self, work: Work) -> tuple[int, ...]:
        return _fc(work).count, *work.inputs[0].torch

    def dense_shape(self, work: Work) -> tuple[int, ...]:
        return _fc(work).count, work.inputs[0].elements


class OneDnnStream(OneDnnLinear):
    """The same with one row of the matrix after the other, each in the order of the operand: for
    few images, where weights are read once and no more."""

    name = "onednn-stream"

    def preferred(self, work: Work) -> Layout:
        sizes = self.sizes(work)
        is_map = work.inputs[0].is_map
        return channels_last(sizes, work.dtype) if is_map else rows(sizes, work.dtype)


def _fc(work: Work) -> FullyConnected:
    assert isinstance(work.op, FullyConnected)
    return work.op

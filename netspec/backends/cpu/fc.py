"""Fully connected layers by oneDNN."""

from __future__ import annotations

import torch

from netspec.backends.cpu.activations import RELU
from netspec.backends.cpu.direct import Multiplying
from netspec.backends.cpu.onednn.layouts import Layout, activations, channels_last, rows
from netspec.backends.cpu.onednn.primitives import Description, inner_product
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.ops.fc import FullyConnected
from netspec.lowering.implementation import Problem

FEW_IMAGES = {torch.float32: 3, torch.bfloat16: 1}
"""The largest batches that the library computes faster with the matrix in rows.

On one AVX-512 core and on two, AlexNet in float32 was 1.07 and 1.05 times as fast with one image,
1.33 and 1.18 with two, 1.21 and 1.14 with three, 1.11 and 0.95 with four; in bfloat16 1.04 with one
image and 0.91 and 0.92 with two.
"""


class OneDnnLinear(Multiplying):
    """act(w x + b) of a vector, or of a map in its memory layout."""

    def pays(self, problem: Problem) -> bool:
        return problem.batch > FEW_IMAGES[problem.dtype]

    def described(self, problem: Problem, weights: Layout) -> Description:
        op = _fc(problem)
        return inner_product(
            activations(problem.batch, problem.inputs[0], problem.dtype),
            weights,
            rows((op.count,), problem.dtype) if op.bias else None,
            activations(problem.batch, problem.output, problem.dtype),
            steps=RELU if isinstance(op, FullyConnectedRelu) else (),
        )

    def sizes(self, problem: Problem) -> tuple[int, ...]:
        return _fc(problem).count, *problem.inputs[0].torch

    def dense_shape(self, problem: Problem) -> tuple[int, ...]:
        return _fc(problem).count, problem.inputs[0].elements


class OneDnnStream(OneDnnLinear):
    """The same with the matrix in rows, each in the order of the operand.

    It is faster for few images, where the time is that of reading the weights once.
    """

    name = "onednn-stream"

    def pays(self, problem: Problem) -> bool:
        return True

    def preferred(self, problem: Problem) -> Layout:
        sizes = self.sizes(problem)
        is_map = problem.inputs[0].is_map
        return channels_last(sizes, problem.dtype) if is_map else rows(sizes, problem.dtype)


def _fc(problem: Problem) -> FullyConnected:
    assert isinstance(problem.op, FullyConnected)
    return problem.op

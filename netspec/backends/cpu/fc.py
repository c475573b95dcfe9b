"""Fully connected layers by oneDNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from netspec.backends.cpu.activations import RELU
from netspec.backends.cpu.direct import Multiplying, copied
from netspec.backends.cpu.implementation import Call, required, run
from netspec.backends.cpu.onednn.layouts import Layout, activations, rows
from netspec.backends.cpu.onednn.primitives import Description, inner_product
from netspec.backends.cpu.processor import is_intel
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.ops.fc import FullyConnected
from netspec.lowering.implementation import Problem, Tensors

FEW_IMAGES = {torch.float32: 3, torch.bfloat16: 1}
"""The largest batches that the library computes faster with the matrix in rows.

The three layers of AlexNet took, on one AVX-512 core, in rows and in blocks: in float32 11.2 and
17.1 ms for one image, 10.4 and 18.2 for two, 10.5 and 14.5 for three, 20.5 and 12.8 for four; in
bfloat16 5.2 and 7.9 ms for one, 16.7 and 10.4 for two.
"""


class OneDnnLinear(Multiplying):
    """act(w x + b) with the matrix in the library's blocks.

    A map is taken as the vector of its elements in memory: for maps the library has only a matrix
    product of general layouts, which took 1.7 to 2.1 times as long for the first fully connected
    layers of AlexNet and VGG at a batch of 8 on one AVX-512 core.
    """

    def pays(self, problem: Problem) -> bool:
        return problem.batch > FEW_IMAGES[problem.dtype]

    def described(self, problem: Problem, weights: Layout) -> Description:
        op = _fc(problem)
        return inner_product(
            self.source(problem),
            weights,
            rows((op.count,), problem.dtype) if op.bias else None,
            activations(problem.batch, problem.output, problem.dtype),
            steps=RELU if isinstance(op, FullyConnectedRelu) else (),
        )

    def source(self, problem: Problem) -> Layout:
        return rows((problem.batch, problem.inputs[0].elements), problem.dtype)

    def sizes(self, problem: Problem) -> tuple[int, ...]:
        return self.dense_shape(problem)

    def dense_shape(self, problem: Problem) -> tuple[int, ...]:
        return _fc(problem).count, problem.inputs[0].elements

    def dense(self, problem: Problem, weight: Tensor) -> Tensor:
        """Return the weight with its columns in the order of the operand's elements in memory."""
        return weight.view(len(weight), *problem.inputs[0].torch).movedim(1, -1)

    def sparse(self, problem: Problem, weight: Tensor) -> Tensor:
        """Return the weight with its columns in the order of the operator."""
        return weight.view(len(weight), *problem.inputs[0]).movedim(-1, 1).flatten(1)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        return super().bind(problem, packed, [x[0].flatten(1)], y, scratch)


IN_BLOCKS = OneDnnLinear()

MANY_IMAGES = 8
"""The batch for which the layout of blocks is chosen where weights in rows are read in blocks: one
layout for all larger batches, so that these share a copy."""


class OneDnnStream(OneDnnLinear):
    """The same with the matrix in rows, each in the order of the operand.

    It is faster for few images, where the time is that of reading the weights once.  If weights
    were packed for few images, bound plans for more share a copy of them in blocks.
    """

    name = "onednn-stream"

    def pays(self, problem: Problem) -> bool:
        return True

    def preferred(self, problem: Problem) -> Layout:
        return rows(self.sizes(problem), problem.dtype)

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        checked = required(problem, tensors)
        dense = self.dense(problem, checked.pop("weight"))
        packed = {name: copied(tensor) for name, tensor in checked.items()}
        return {"weight": copied(dense).flatten(), **packed}

    def fitting(self, problem: Problem, here: Problem) -> Description:
        if problem.batch <= FEW_IMAGES[here.dtype] < here.batch:
            return IN_BLOCKS.fitting(replace(problem, batch=MANY_IMAGES), here)
        return super().fitting(problem, here)


class MklVector(OneDnnStream):
    """The same, for one image by the matrix-vector product of MKL, which PyTorch contains.

    It reads the three matrices of AlexNet in 15.2 ms on one core of an Intel Xeon (Ice Lake),
    oneDNN's in 17.0 ms.  It was not measured on processors of other makers.
    """

    name = "mkl"

    def lacks(self, problem: Problem) -> str:
        if problem.dtype != torch.float32:
            return "MKL computes float32 here"
        return "" if torch._C.has_mkl else "PyTorch does not contain MKL"

    def pays(self, problem: Problem) -> bool:
        return problem.batch == 1 and is_intel()

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        calls = super().bind(problem, packed, x, y, scratch)
        if len(y) > 1:
            return calls
        weight, bias = packed["weight"].view(self.sizes(problem)), packed.get("bias")
        vector, result = x[0].flatten(), y.flatten()
        is_clamped = isinstance(problem.op, FullyConnectedRelu)

        def multiply() -> None:
            if precision() not in EXACT:
                run(calls)
                return
            if bias is None:
                torch.mv(weight, vector, out=result)
            else:
                torch.addmv(bias, weight, vector, out=result)
            if is_clamped:
                result.relu_()

        return [multiply]


EXACT = ("ieee", "none")
"""The settings with which PyTorch multiplies float32 by MKL.  With others, which
``torch.set_float32_matmul_precision`` makes, it may round operands to bfloat16."""

precision = partial(torch._C._get_fp32_precision_getter, "mkldnn", "matmul")


def _fc(problem: Problem) -> FullyConnected:
    assert isinstance(problem.op, FullyConnected)
    return problem.op

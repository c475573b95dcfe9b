"""Convolutions and fully connected layers by PyTorch's copy of oneDNN, if the library is missing.

These operators are private to PyTorch, so only this file calls them.  If one of them does not
exist, the plain implementations are used.  They do not have ``out=``, so results are copied.
Filters are reordered once into blocks that fit the vector registers of this CPU; the reordered
tensor is opaque, and ``to_dense`` reorders it back.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from netspec.backends.cpu.conv import conv_of, dense_shape, has_half_a_pair, inside
from netspec.backends.cpu.implementation import (
    Call,
    CpuImplementation,
    into,
    required,
    safe_domain,
)
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.memory import nchw
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_add import ConvAdd
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.growth import Growth
from netspec.ir.operator import padded, symmetric
from netspec.lowering.implementation import Problem, Tensors
from netspec.runtime.gate import require

NEEDED = (
    "_convolution_pointwise",
    "_linear_pointwise",
    "_reorder_convolution_weight",
    "_reorder_linear_weight",
)


class _Mkldnn(CpuImplementation):
    name = "mkldnn"

    def refuses(self, problem: Problem) -> str:
        if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return "this build of PyTorch does not have oneDNN"
        if not all(hasattr(torch.ops.mkldnn, name) for name in NEEDED):
            return "this version of PyTorch does not have oneDNN's fused operators"
        if problem.dtype == torch.bfloat16:
            is_there = torch.ops.mkldnn._is_mkldnn_bf16_supported()
            return "" if is_there else "this CPU does not have instructions for bfloat16"
        if problem.dtype == torch.float32:
            return ""
        return f"oneDNN does not compute this operator in {problem.dtype}"

    def domain(self, problem: Problem, growth: Growth) -> float:
        return safe_domain(problem, growth)

    def require_packed(self, problem: Problem, packed: Tensors) -> None:
        weight = packed["weight"]
        if not isinstance(weight, Tensor) or not weight.is_mkldnn:
            raise TypeError("weight is not in oneDNN's blocked layout: use the result of pack")
        if (weight.dtype, tuple(weight.shape)) != (problem.dtype, self.dense_shape(problem)):
            raise ValueError(
                f"weight is {weight.dtype} {list(weight.shape)}, expected {problem.dtype} "
                f"{list(self.dense_shape(problem))}: use the result of pack"
            )
        if "bias" in packed:
            sizes = (problem.output.channels,)
            require(packed["bias"], "bias", device="cpu", dtype=problem.dtype, sizes=sizes)

    @abstractmethod
    def dense_shape(self, problem: Problem) -> tuple[int, ...]:
        """Return the sizes of the weight before it was reordered."""


class MkldnnConv(_Mkldnn):
    """act(b + w * x), with filters in a blocked layout."""

    def operations(self, problem: Problem) -> float:
        return inside(problem)

    def refuses(self, problem: Problem) -> str:
        if isinstance(problem.op, ConvAdd):
            return "PyTorch does not write a convolution plus an operand into given memory"
        return super().refuses(problem) or _unsound(problem)

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        op, tensors = conv_of(problem), required(problem, tensors)
        padding, size = _padding(problem)
        reordered = torch.ops.mkldnn._reorder_convolution_weight(
            op.dense(tensors["weight"]).contiguous(memory_format=torch.channels_last),
            padding,
            op.stride,
            op.dilation,
            op.groups,
            size,
        )
        return {**tensors, "weight": reordered}

    def dense_shape(self, problem: Problem) -> tuple[int, ...]:
        return dense_shape(problem)

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        tensors = _in_rows(packed)
        return tensors | {"weight": conv_of(problem).sparse(tensors["weight"])}

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        op, windows = conv_of(problem), conv_of(problem).windows(problem.inputs)
        padding, _ = _padding(problem)
        is_symmetric = symmetric(windows) is not None
        weight, bias = packed["weight"], packed.get("bias")
        window = padding, list(op.stride), list(op.dilation), op.groups
        activation = "relu" if isinstance(op, ConvRelu) else "none"
        convolve: Any = torch.ops.mkldnn._convolution_pointwise.default
        image, result = nchw(x[0]), nchw(y)

        def call() -> None:
            source = image if is_symmetric else padded(image, windows)
            y = convolve(source, weight, bias, *window, activation, [], "")
            if isinstance(op, ConvActivation):
                y = op.activation.reference([problem.output], y)
            result.copy_(y)

        return [call]


def _unsound(problem: Problem) -> str:
    """Return the reason why PyTorch's oneDNN 3.12 would compute a problem wrongly, or "".

    PyTorch does not say which of oneDNN's implementations it uses, so every problem for which one
    of them is wrong is refused.
    """
    op, output = conv_of(problem), problem.output
    if has_half_a_pair(problem):
        return (
            "oneDNN reads channels of bfloat16 in pairs: with an odd number it also reads the next "
            "pixel"
        )
    down, right = op.stride
    if op.channels_seen(problem.inputs) == 1 and output[1] == 1 and right > max(1, down):
        return (
            "oneDNN reads outside the operand if a filter sees one channel and the output has one "
            "column"
        )
    return ""


def _in_rows(packed: Tensors) -> dict[str, Tensor]:
    """Return copies in the usual layout."""
    return {name: t.to_dense() if t.is_mkldnn else t.clone() for name, t in packed.items()}


def _padding(problem: Problem) -> tuple[list[int], list[int]]:
    """Return the padding that oneDNN adds, and the size [N, C, H, W] of its operand.

    oneDNN adds symmetric padding itself.  Other padding is added before the call.
    """
    height, width, channels = problem.inputs[0]
    windows = conv_of(problem).windows(problem.inputs)
    padding = symmetric(windows)
    if padding is not None:
        return list(padding), [problem.batch, channels, height, width]
    tall, wide = (w.before + w.size_in + w.tail for w in windows)
    return [0, 0], [problem.batch, channels, tall, wide]


class MkldnnLinear(_Mkldnn):
    """act(w x + b), with the matrix in a blocked layout."""

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        tensors = required(problem, tensors)
        weight = tensors["weight"].contiguous()
        return {**tensors, "weight": torch.ops.mkldnn._reorder_linear_weight(weight, problem.batch)}

    def dense_shape(self, problem: Problem) -> tuple[int, ...]:
        return problem.output.channels, problem.inputs[0].elements

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        return _in_rows(packed)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        activation = "relu" if isinstance(problem.op, FullyConnectedRelu) else "none"
        weight, bias = packed["weight"], packed.get("bias")
        multiply: Any = torch.ops.mkldnn._linear_pointwise.default
        image = nchw(x[0])
        return [into(y, lambda: multiply(image.flatten(1), weight, bias, activation, [], ""))]

"""Convolutions and fully connected layers by PyTorch's oneDNN, where the library is missing.

The operators are private to PyTorch, so they are called from this file only; where one is missing,
the plain implementations take over.  They have no ``out=``, so that results are copied.  Filters
are reordered once, into blocks that fit the vector registers of the CPU at hand; the reordered
tensor is opaque and turns back with ``to_dense``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from netspec.backends.cpu.conv import conv_of, dense_shape, has_half_a_pair
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.cpu.way import Call, Way, required
from netspec.backends.memory import nchw
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.operator import padded, symmetric
from netspec.lowering.implementation import Held, Work
from netspec.runtime.gate import require

NEEDED = (
    "_convolution_pointwise",
    "_linear_pointwise",
    "_reorder_convolution_weight",
    "_reorder_linear_weight",
)


class _Mkldnn(Way):
    name = "mkldnn"

    def refuses(self, work: Work) -> str:
        if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return "this PyTorch has no oneDNN"
        if not all(hasattr(torch.ops.mkldnn, name) for name in NEEDED):
            return "this PyTorch has no fused operators of oneDNN"
        if work.dtype == torch.bfloat16:
            is_there = torch.ops.mkldnn._is_mkldnn_bf16_supported()
            return "" if is_there else "this CPU has no instructions for bfloat16"
        return "" if work.dtype == torch.float32 else f"oneDNN has none in {work.dtype}"

    def require_packed(self, work: Work, packed: Held) -> None:
        weight = packed["weight"]
        if not isinstance(weight, Tensor) or not weight.is_mkldnn:
            raise TypeError("weight is not in the blocks of oneDNN: use what pack returns")
        if (weight.dtype, tuple(weight.shape)) != (work.dtype, self.dense_shape(work)):
            raise ValueError(f"weight is of sizes {tuple(weight.shape)}: use what pack returns")
        if "bias" in packed:
            sizes = (work.output.channels,)
            require(packed["bias"], "bias", device="cpu", dtype=work.dtype, sizes=sizes)

    @abstractmethod
    def dense_shape(self, work: Work) -> tuple[int, ...]:
        """Return the sizes of the weight before its elements were put into blocks."""


class MkldnnConv(_Mkldnn):
    """act(b + w * x), with filters in blocks."""

    def refuses(self, work: Work) -> str:
        return super().refuses(work) or _unsound(work)

    def pack(self, work: Work, held: Held) -> dict[str, Tensor]:
        op, held = conv_of(work), required(work, held)
        padding, size = _padding(work)
        reordered = torch.ops.mkldnn._reorder_convolution_weight(
            op.dense(held["weight"]).contiguous(memory_format=torch.channels_last),
            padding,
            op.stride,
            op.dilation,
            op.groups,
            size,
        )
        return {**held, "weight": reordered}

    def dense_shape(self, work: Work) -> tuple[int, ...]:
        return dense_shape(work)

    def unpack(self, work: Work, packed: Held) -> dict[str, Tensor]:
        tensors = _in_rows(packed)
        return tensors | {"weight": conv_of(work).sparse(tensors["weight"])}

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        op, windows = conv_of(work), conv_of(work).windows(work.inputs)
        padding, _ = _padding(work)
        is_symmetric = symmetric(windows) is not None
        weight, bias = packed["weight"], packed.get("bias")
        window = padding, list(op.stride), list(op.dilation), op.groups
        activation = "relu" if isinstance(op, ConvRelu) else "none"
        convolve: Any = torch.ops.mkldnn._convolution_pointwise.default
        image, result = nchw(x[0]), nchw(y)

        def call() -> None:
            source = image if is_symmetric else padded(image, windows)
            result.copy_(convolve(source, weight, bias, *window, activation, [], ""))

        return [call]


def _unsound(work: Work) -> str:
    """What PyTorch's oneDNN 3.12 computes wrongly; which implementation it takes is unknown."""
    op, output = conv_of(work), work.output
    if has_half_a_pair(work):
        return "oneDNN reads an odd number of bfloat16 channels in pairs, the next pixel's too"
    down, right = op.stride
    if op.channels_seen(work.inputs) == 1 and output[1] == 1 and right > max(1, down):
        return "oneDNN reads foreign memory where a filter sees one channel and has one column"
    return ""


def _in_rows(packed: Held) -> dict[str, Tensor]:
    """Return copies that are no longer in blocks."""
    return {name: t.to_dense() if t.is_mkldnn else t.clone() for name, t in packed.items()}


def _padding(work: Work) -> tuple[list[int], list[int]]:
    """Return the padding that oneDNN adds, and the size [N, C, H, W] that it then sees."""
    height, width, channels = work.inputs[0]
    windows = conv_of(work).windows(work.inputs)
    padding = symmetric(windows)
    if padding is not None:
        return list(padding), [work.batch, channels, height, width]
    tall, wide = (w.before + w.size_in + w.tail for w in windows)
    return [0, 0], [work.batch, channels, tall, wide]


class MkldnnLinear(_Mkldnn):
    """act(w x + b), with the matrix in blocks."""

    def pack(self, work: Work, held: Held) -> dict[str, Tensor]:
        held = required(work, held)
        weight = held["weight"].contiguous()
        return {**held, "weight": torch.ops.mkldnn._reorder_linear_weight(weight, work.batch)}

    def dense_shape(self, work: Work) -> tuple[int, ...]:
        return work.output.channels, work.inputs[0].elements

    def unpack(self, work: Work, packed: Held) -> dict[str, Tensor]:
        return _in_rows(packed)

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        activation = "relu" if isinstance(work.op, FullyConnectedRelu) else "none"
        weight, bias = packed["weight"], packed.get("bias")
        multiply: Any = torch.ops.mkldnn._linear_pointwise.default
        image = nchw(x[0])
        return [lambda: y.copy_(multiply(image.flatten(1), weight, bias, activation, [], ""))]

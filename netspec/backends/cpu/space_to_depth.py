"""Convolution with a stride, with adjacent pixels of a row as one pixel that has their channels.

The library computes few channels slowly: it multiplies by the channels of one tap at a time, and
the 3 of an image are far fewer than a vector has.  A row of W pixels with C channels is, in memory,
a row of W / s pixels with s C channels.  On these a convolution whose windows are s columns apart
has a stride of 1 along the row, and 1/s of the columns of taps, with zeros before the first and
after the last.  Only the weights are packed in another order; no map is moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from netspec.backends.cpu.conv import OneDnnConv, conv_of, dense_shape
from netspec.backends.cpu.implementation import Call, required
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.shapes import Shape, ceiling
from netspec.lowering.implementation import Problem, Tensors

FEW_CHANNELS = 4
"""The most channels of an operand for which it is faster.

On one AVX-512 core, with and without it: 1.6 and 2.5 ms for the first convolution of GoogLeNet, 1.3
and 2.1 ms for AlexNet's, 0.44 and 0.56 ms for SqueezeNet's, 0.26 and 0.28 ms for MobileNet's.
"""


class SpaceToDepth(OneDnnConv):
    """act(b + w * x) on pixels that are joined along a row."""

    name = "space-to-depth"

    def lacks(self, problem: Problem) -> str:
        op = conv_of(problem)
        _, right = op.windows(problem.inputs)
        if op.groups > 1 or op.connect is not None:
            return "each filter must see all channels"
        if right.stride == 1 or right.dilation > 1:
            return "windows must be two columns or more apart, with adjacent taps"
        if right.kernel < right.stride:  # most joined columns of taps would be zeros
            return "windows must cover all columns"
        if right.size_in % right.stride:
            return "the stride must divide the width"
        return ""

    def pays(self, problem: Problem) -> bool:
        return problem.inputs[0].channels <= FEW_CHANNELS

    def operations(self, problem: Problem) -> float:
        return super().operations(_joined(problem).problem)

    def describe(self, problem: Problem) -> None:
        super().describe(_joined(problem).problem)

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        checked, joined = required(problem, tensors), _joined(problem)
        weight = torch.nn.functional.pad(checked["weight"], (joined.before, joined.after))
        columns = weight.view(*weight.shape[:3], -1, joined.pixels)
        checked["weight"] = columns.movedim(4, 1).flatten(1, 2)
        return super().pack(joined.problem, checked)

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        joined, (*_, taps) = _joined(problem), dense_shape(problem)
        tensors = super().unpack(joined.problem, packed)
        count, _, *window = tensors["weight"].shape
        columns = tensors["weight"].view(count, joined.pixels, -1, *window).movedim(1, 4).flatten(3)
        return tensors | {"weight": columns.narrow(3, joined.before, taps).contiguous()}

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        joined = _joined(problem).problem
        image, *added = x
        image = image.view(len(image), *joined.inputs[0])
        return super().bind(joined, packed, [image, *added], y, scratch)


class _Joined(NamedTuple):
    """A convolution on joined pixels.

    Attributes:
        problem: the convolution.
        pixels: the number that are one.
        before, after: the columns of zeros before the first column of taps, and after the last.
    """

    problem: Problem
    pixels: int
    before: int
    after: int


def _joined(problem: Problem) -> _Joined:
    op, (image, *added) = conv_of(problem), problem.inputs
    down, right = op.windows(problem.inputs)
    pixels = right.stride
    padding = ceiling(right.before, pixels)
    before = padding * pixels - right.before
    columns = ceiling(before + right.kernel, pixels)
    width = right.size_in // pixels
    tail = right.size_out - 1 + columns - padding - width
    joined = replace(
        op,
        kernel=(down.kernel, columns),
        stride=(down.stride, 1),
        pad=(down.before, down.tail, padding, tail),
        round="floor",
    )
    shape = Shape((image[0], width, pixels * image.channels))
    here = replace(problem, op=joined, inputs=(shape, *added))
    return _Joined(here, pixels, before, columns * pixels - before - right.kernel)

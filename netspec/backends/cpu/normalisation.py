"""Batch normalisation at inference by oneDNN: a factor and a summand for each channel.

A primitive of the library takes longer for each row of channels than for each channel.  So several
adjacent pixels are one row: with 64 channels and 16 pixels to a row, 56x56 maps take a third of the
time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.activations import RELU
from netspec.backends.cpu.direct import Direct, copied, require_kept
from netspec.backends.cpu.implementation import required
from netspec.backends.cpu.onednn.layouts import Layout, activations, channels_last
from netspec.backends.cpu.onednn.primitives import (
    Argument,
    Description,
    Launch,
    Memory,
    launch,
    product,
)
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.fused.bn_relu import BatchNormRelu
from netspec.ir.ops.bn import BatchNorm
from netspec.lowering.implementation import Problem, Tensors
from netspec.runtime.gate import address

LONGEST_ROW = 1024
"""The most values of a row of several pixels.  The factors and summands of longer rows take the
place of the map in the first cache."""


class OneDnnBatchNorm(Direct):
    """act(s x + t) in one pass, with s = weight / sqrt(variance + eps) and t = bias - s mean.

    s and t are float32 in every type of maps: the library computes in float32.
    """

    def describe(self, problem: Problem) -> None:
        _described(problem, problem.batch)

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        assert isinstance(problem.op, BatchNorm)
        checked = required(problem, tensors)
        weight, bias, mean, variance = (
            checked[name].double() for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / (variance + problem.op.eps).sqrt()
        packed = {"scale": scale, "shift": bias - scale * mean}
        repeated = {name: t.float().repeat(_pixels(problem)) for name, t in packed.items()}
        return {name: copied(t) for name, t in (repeated | checked).items()}

    def require_packed(self, problem: Problem, packed: Tensors) -> None:
        for name in _names(problem):
            require_kept(packed[name], name, (problem.output.channels,), problem.dtype)

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        return {name: packed[name].clone() for name in _names(problem)}

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        factors = _layout(problem, 1, 1, torch.float32)
        memories = [
            (Argument.SOURCE, _map(problem, x[0])),
            (Argument.SECOND_SOURCE, Memory(factors, packed["scale"])),
            (Argument.FIRST_POST_OP, Memory(factors, packed["shift"])),
            (Argument.DESTINATION, _map(problem, y)),
        ]
        return [launch(_described(problem, len(y)), memories, scratch)]


def _names(problem: Problem) -> list[str]:
    """Return the names of the operator's parameters and buffers."""
    return [*problem.op.parameters(problem.inputs), *problem.op.buffers(problem.inputs)]


def _described(problem: Problem, batch: int) -> Description:
    maps = _layout(problem, batch, _rows(problem), problem.dtype)
    factors = _layout(problem, 1, 1, torch.float32)
    steps = RELU if isinstance(problem.op, BatchNormRelu) else ()
    return product(maps, factors, maps, added=factors, steps=steps)


def _map(problem: Problem, x: Tensor) -> Memory:
    """Return the memory of maps or vectors as rows."""
    dense = activations(len(x), problem.output, problem.dtype)
    address(x, "an operand of oneDNN", problem.dtype, dense.axes)
    rows = _rows(problem)
    return Memory(_layout(problem, len(x), rows, problem.dtype), x.view(len(x), rows, -1))


def _layout(problem: Problem, batch: int, rows: int, dtype: torch.dtype) -> Layout:
    """Return the layout of rows of several pixels."""
    values = _pixels(problem) * problem.output.channels
    return channels_last((batch, values, rows, 1), dtype)


def _rows(problem: Problem) -> int:
    """Return the number of rows of an image."""
    return problem.output.elements // problem.output.channels // _pixels(problem)


def _pixels(problem: Problem) -> int:
    """Return the number of pixels of a row, which divides those of an image."""
    pixels = problem.output.elements // problem.output.channels
    most = max(1, LONGEST_ROW // problem.output.channels)
    return max(count for count in range(1, most + 1) if pixels % count == 0)

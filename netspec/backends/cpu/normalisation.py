"""Batch normalisation at inference by oneDNN: a factor and a summand for each channel.

oneDNN has a fixed cost for each row, so several adjacent pixels are computed as one row: with 16
pixels to a row, one map of 56x56x64 takes 0.4 of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.activations import RELU
from netspec.backends.cpu.direct import Direct, copied, require_kept
from netspec.backends.cpu.implementation import required
from netspec.backends.cpu.onednn.layouts import Layout, channels_last
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

LONGEST_ROW = 1024
"""The most values of a row of several pixels.  Longer rows have factors and summands that leave too
little of the first cache to the map.  A pixel with more channels is a row of its own."""


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
        maps, factors = _layouts(problem, len(y))
        rows = (len(y), -1, _pixels(problem) * problem.output.channels)
        memories = [
            (Argument.SOURCE, Memory(maps, x[0].view(rows))),
            (Argument.SECOND_SOURCE, Memory(factors, packed["scale"])),
            (Argument.FIRST_POST_OP, Memory(factors, packed["shift"])),
            (Argument.DESTINATION, Memory(maps, y.view(rows))),
        ]
        return [launch(_described(problem, len(y)), memories, scratch)]


def _names(problem: Problem) -> list[str]:
    """Return the names of the operator's parameters and buffers."""
    return [*problem.op.parameters(problem.inputs), *problem.op.buffers(problem.inputs)]


def _described(problem: Problem, batch: int) -> Description:
    maps, factors = _layouts(problem, batch)
    steps = RELU if isinstance(problem.op, BatchNormRelu) else ()
    return product(maps, factors, maps, added=factors, steps=steps)


def _layouts(problem: Problem, batch: int) -> tuple[Layout, Layout]:
    """Return the layouts of maps or vectors as rows of several pixels, and of a row of factors."""
    pixels = _pixels(problem)
    values, rows = pixels * problem.output.channels, problem.output.pixels // pixels
    maps = channels_last((batch, values, rows, 1), problem.dtype)
    return maps, channels_last((1, values, 1, 1), torch.float32)


def _pixels(problem: Problem) -> int:
    """Return the number of pixels of a row, which divides those of an image."""
    most = max(1, LONGEST_ROW // problem.output.channels)
    return max(count for count in range(1, most + 1) if problem.output.pixels % count == 0)

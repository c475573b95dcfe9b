"""Batch normalisation at inference by oneDNN: a factor and a summand for each channel."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from netspec.backends.cpu.activations import RELU
from netspec.backends.cpu.direct import Direct, copied, require_kept
from netspec.backends.cpu.implementation import required
from netspec.backends.cpu.onednn.layouts import Layout, activations
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
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem, Tensors


class OneDnnBatchNorm(Direct):
    """act(s x + t) in one pass, with s = weight / sqrt(variance + eps) and t = bias - s mean."""

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
        return {name: copied(t.to(problem.dtype)) for name, t in (packed | checked).items()}

    def require_packed(self, problem: Problem, packed: Tensors) -> None:
        for name in _names(problem):
            require_kept(packed[name], name, (problem.output.channels,), problem.dtype)

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        return {name: packed[name].clone() for name in _names(problem)}

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        whole, channels = activations(len(y), problem.output, problem.dtype), _channels(problem)
        memories = [
            (Argument.SOURCE, Memory(whole, x[0])),
            (Argument.SECOND_SOURCE, Memory(channels, packed["scale"])),
            (Argument.FIRST_POST_OP, Memory(channels, packed["shift"])),
            (Argument.DESTINATION, Memory(whole, y)),
        ]
        return [launch(_described(problem, len(y)), memories, scratch)]


def _names(problem: Problem) -> list[str]:
    """Return the names of the operator's parameters and buffers."""
    return [*problem.op.parameters(problem.inputs), *problem.op.buffers(problem.inputs)]


def _described(problem: Problem, batch: int) -> Description:
    whole, channels = activations(batch, problem.output, problem.dtype), _channels(problem)
    steps = RELU if isinstance(problem.op, BatchNormRelu) else ()
    return product(whole, channels, whole, added=channels, steps=steps)


def _channels(problem: Problem) -> Layout:
    """Return the layout of one number for each channel."""
    shape = problem.output
    ones = (1, 1, shape.channels) if shape.is_map else (shape.channels,)
    return activations(1, Shape(ones), problem.dtype)

"""Concatenations: one primitive of oneDNN."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from netspec.backends.cpu.direct import Direct
from netspec.backends.cpu.onednn.layouts import activations
from netspec.backends.cpu.onednn.primitives import (
    Argument,
    Description,
    Launch,
    Memory,
    concatenation,
    launch,
)
from netspec.backends.cpu.scratch import Scratch
from netspec.lowering.implementation import Held, Work


class OneDnnConcat(Direct):
    """Channels one after the other, all operands in one launch."""

    def describe(self, work: Work) -> None:
        _described(work, work.batch)

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        sources = [
            (Argument.FIRST_OF_SOURCES + i, Memory(activations(len(y), shape, work.dtype), operand))
            for i, (shape, operand) in enumerate(zip(work.inputs, x, strict=True))
        ]
        whole = Memory(activations(len(y), work.output, work.dtype), y)
        memories = [*sources, (Argument.DESTINATION, whole)]
        return [launch(_described(work, len(y)), memories, scratch)]


def _described(work: Work, batch: int) -> Description:
    sources = [activations(batch, shape, work.dtype) for shape in work.inputs]
    return concatenation(sources, activations(batch, work.output, work.dtype))

"""Softmax by a primitive of oneDNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from netspec.backends.cpu.direct import Direct
from netspec.backends.cpu.onednn.layouts import Layout, activations
from netspec.backends.cpu.onednn.primitives import (
    Argument,
    Description,
    Launch,
    Memory,
    launch,
    softmax,
)
from netspec.backends.cpu.scratch import Scratch
from netspec.lowering.implementation import Problem, Tensors


class OneDnnSoftmax(Direct):
    """exp(x) / sum of exp(x) over the channels."""

    def describe(self, problem: Problem) -> None:
        _described(problem)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        here = replace(problem, batch=len(y))
        memories = [
            (Argument.SOURCE, Memory(_layout(here), x[0])),
            (Argument.DESTINATION, Memory(_layout(here), y)),
        ]
        return [launch(_described(here), memories, scratch)]


def _described(problem: Problem) -> Description:
    return softmax(_layout(problem))


def _layout(problem: Problem) -> Layout:
    return activations(problem.batch, problem.output, problem.dtype)

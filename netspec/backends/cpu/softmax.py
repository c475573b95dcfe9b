"""Softmax: one primitive of oneDNN."""

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
from netspec.lowering.implementation import Held, Work


class OneDnnSoftmax(Direct):
    """exp(x) / sum of exp(x) over the channels."""

    def describe(self, work: Work) -> None:
        _described(work)

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        here = replace(work, batch=len(y))
        memories = [
            (Argument.SOURCE, Memory(_layout(here), x[0])),
            (Argument.DESTINATION, Memory(_layout(here), y)),
        ]
        return [launch(_described(here), memories, scratch)]


def _described(work: Work) -> Description:
    return softmax(_layout(work))


def _layout(work: Work) -> Layout:
    return activations(work.batch, work.output, work.dtype)

"""Everything by plain PyTorch: the operator's own reference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.scratch import Scratch
from netspec.backends.cpu.way import Call, Way
from netspec.backends.memory import nchw
from netspec.lowering.implementation import Held, Work


class Plain(Way):
    """The reference as it stands."""

    name = "torch"

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        op, inputs, tensors = work.op, work.inputs, dict(packed)
        operands, result = [nchw(operand) for operand in x], nchw(y)
        return [lambda: result.copy_(op.reference(inputs, *operands, **tensors))]


class PlainConcat(Way):
    """Channels one after the other, the last axis in memory."""

    name = "torch"

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        parts = list(x)
        return [lambda: torch.cat(parts, dim=-1, out=y)]

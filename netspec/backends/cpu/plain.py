"""Operators by plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netspec.backends.cpu.implementation import Call, CpuImplementation, into
from netspec.backends.cpu.scratch import Scratch
from netspec.backends.memory import nchw
from netspec.lowering.implementation import Problem, Tensors


class Plain(CpuImplementation):
    """Any operator, by its reference."""

    name = "torch"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        op, inputs, tensors = problem.op, problem.inputs, dict(packed)
        operands, result = [nchw(operand) for operand in x], nchw(y)
        return [into(result, lambda: op.reference(inputs, *operands, **tensors))]


class PlainConcat(CpuImplementation):
    """Concatenation along the channels, the last axis in memory."""

    name = "torch"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        parts = list(x)

        def call() -> None:
            torch.cat(parts, dim=-1, out=y)

        return [call]

"""Sums and products of operands by PyTorch, into the plan's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from netspec.backends.cpu.implementation import Call, CpuImplementation
from netspec.backends.cpu.scratch import Scratch
from netspec.lowering.implementation import Problem, Tensors


class DirectJoin(CpuImplementation):
    """x_1 + x_2 + ..., or x_1 x_2 ..., without the copy of the result that the reference needs.

    Args:
        function: ``torch.add`` or ``torch.mul``.
    """

    name = "direct"

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def refuses(self, problem: Problem) -> str:
        if len(problem.inputs) == 1:
            return "there is one operand"
        if problem.output not in problem.inputs[:2]:
            # The order of the operands must be kept: in another order, a product may overflow.
            return "the first two operands are smaller than the result"
        return ""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Call]:
        function, (first, second, *others) = self.function, x

        def call() -> None:
            function(first, second, out=y)
            for other in others:
                function(y, other, out=y)

        return [call]


DIRECT_ADD = DirectJoin(torch.add)
DIRECT_MUL = DirectJoin(torch.mul)

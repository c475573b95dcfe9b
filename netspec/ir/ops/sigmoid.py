"""Logistic function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Sigmoid(Operator):
    """Logistic sigmoid: y = 1 / (1 + exp(-x))."""

    name = "sigmoid"
    example = "sigmoid"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(0.0, 1.0)

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.Sigmoid()

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0].sigmoid()

"""Softmax."""

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
class Softmax(Operator):
    """Softmax over channels: y[i] = exp(x[i]) / sum over j of exp(x[j])."""

    name = "softmax"
    example = "softmax"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(0.0, 1.0, peak=2.0)

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.Softmax(dim=1)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0].softmax(dim=1)

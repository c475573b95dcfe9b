"""Exponential linear unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import keyword, number
from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Elu(Operator):
    """Exponential linear unit (Clevert et al. 2016): y = x if x > 0, else alpha (exp(x) - 1)."""

    name = "elu"
    example = "elu alpha=0.7"

    alpha: float = keyword(number(0), "minus the limit for negative inputs", default=1.0)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(max(self.alpha, 1.0))

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.ELU(self.alpha)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.elu(x[0], self.alpha)

"""Sigmoid linear unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class Silu(Operator):
    """Sigmoid linear unit: y = x / (1 + exp(-x)) (Elfwing et al. 2018).

    It is also called swish (Ramachandran et al. 2017), with a beta of 1.  EfficientNet uses it.
    """

    name = "silu"
    example = "silu"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.SiLU()

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.silu(x[0])

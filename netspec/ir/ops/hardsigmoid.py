"""Piecewise linear sigmoid."""

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
class HardSigmoid(Operator):
    """Piecewise linear sigmoid: y = min(6, max(0, x + 3)) / 6 (Howard et al. 2019, section 5.2).

    This is the formula of MobileNetV3, PyTorch and Keras 3.  Implementations differ: Theano,
    Keras 1 and 2, and ONNX by default have a slope of 0.2, y = min(1, max(0, 0.2 x + 0.5)).
    ``scale 1.2 | hardsigmoid`` computes that.
    """

    name = "hardsigmoid"
    example = "hardsigmoid"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(0.0, 1.0)

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.Hardsigmoid()

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.hardsigmoid(x[0])

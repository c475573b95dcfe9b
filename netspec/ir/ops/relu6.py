"""Rectified linear unit that is clipped at 6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netspec.ir.ops.clip import Clip
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu6(Clip):
    """Rectified linear unit that is clipped at 6: y = min(6, max(0, x)) (Krizhevsky 2010).

    The activation of MobileNetV2 (Sandler et al. 2018, section 4) and of EfficientNet-Lite.  It is
    ``clip 0, 6``, and equal to it.
    """

    name = "relu6"
    example = "relu6"

    low: float = field(default=0.0, init=False)
    high: float = field(default=6.0, init=False)

    def module(self, inputs: Sequence[Shape]) -> Module:
        from torch import nn

        return nn.ReLU6()

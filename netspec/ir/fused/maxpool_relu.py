"""Max-pooling with ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MaxPoolRelu(MaxPool):
    """Max-pooling and ReLU: y = max(0, largest value in the window)."""

    name = "maxpool_relu"

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return super().reference(inputs, *x, **parameters).relu()

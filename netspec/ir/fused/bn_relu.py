"""Batch normalisation with ReLU, as before the convolutions of a DenseNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.ops.bn import BatchNorm
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BatchNormRelu(BatchNorm):
    """Batch normalisation and ReLU, at inference: y = max(0, bn(x))."""

    name = "bn_relu"

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return super().reference(inputs, *x, **parameters).relu()

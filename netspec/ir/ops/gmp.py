"""Global max-pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator, map_of
from netspec.ir.shapes import Field, Shape
from netspec.ir.symbols import by

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class GlobalMaxPool(Operator):
    """Global max-pooling: y[c] = largest of x[c, i, j]; the output is 1 x 1 x channels.

    It shows where in an image an object is, if only the label of the image is known (Oquab et al.
    2015, section 3).
    """

    name = "gmp"
    example = "gmp"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return Shape((1, 1, map_of(self, inputs).channels))

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].over(inputs[0])

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return "one maximum of the whole map" if axis < 2 else None

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return by(inputs[0][:2])

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        from torch import nn

        return nn.AdaptiveMaxPool2d(1)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.adaptive_max_pool2d(x[0], 1)

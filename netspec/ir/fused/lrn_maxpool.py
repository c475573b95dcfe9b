"""Local response normalisation followed by max-pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.growth import Growth
from netspec.ir.operator import Operator
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Field, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LrnMaxPool(Operator):
    """Local response normalisation, then max-pooling: y = maxpool(lrn(x)).

    AlexNet, sections 3.3 and 3.4.
    """

    name = "lrn_maxpool"

    lrn: LocalResponseNorm
    pool: MaxPool

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return self.pool.shape([self.lrn.shape(inputs)])

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return self.pool.field(fields, inputs)

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return self.pool.kernel_text(inputs)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return self.lrn.growth(inputs)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return self.pool.reference([self.lrn.shape(inputs)], self.lrn.reference(inputs, *x))

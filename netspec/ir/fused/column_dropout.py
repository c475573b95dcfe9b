"""Dropout of the channels of one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.ops.dropout import Dropout

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ColumnDropout(Dropout):
    """Dropout of the channels [column * C : (column + 1) * C] of a layer.

    The mask is the same slice of the whole layer's mask, so the result does not depend on the
    number of columns.
    """

    column: int

    def mask(self, x: Tensor, layer: str) -> Tensor:
        from netspec.ir.randomness import keep

        return keep(x, self.rate, layer, self.column)

"""Dropout of the channels of one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ops.dropout import Dropout
from netspec.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ColumnDropout(Dropout):
    """Dropout of the channels [column * C : (column + 1) * C] of a layer, by the whole's mask."""

    column: int

    def training_reference(
        self, inputs: Sequence[Shape], *x: Tensor, layer: str = "", **parameters: Tensor
    ) -> Tensor:
        from netspec.randomness import keep

        return self.dropped(x[0], keep(x[0], self.rate, layer, self.column))

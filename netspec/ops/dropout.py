"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.attributes import PROBABILITY, positional
from netspec.operator import Operator
from netspec.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Dropout(Operator):
    """Dropout: while training, each value becomes zero with probability ``rate``.

    y = x m / (1 - rate), m = 0 with probability ``rate``, else 1; at inference y = x.

    The inverted form, as published weights expect it.  AlexNet (section 4.2) scales by (1 - rate)
    at test time instead, which is the same function of rescaled weights.
    """

    name = "dropout"

    rate: float = positional(PROBABILITY, "probability of dropping a value")

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0]

    def training_reference(
        self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor
    ) -> Tensor:
        import torch.nn.functional as F

        return F.dropout(x[0], self.rate, training=True)

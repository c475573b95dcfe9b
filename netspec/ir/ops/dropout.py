"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import PROBABILITY, choice, keyword, positional
from netspec.ir.growth import KEEPING, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Dropout(Operator):
    """Dropout: while training, each value becomes zero with probability ``rate``.

    With m = 0 with probability ``rate``, else 1:

    scale=train: y = x m / (1 - rate) while training, y = x at inference.  The inverted form, which
    most libraries have and published weights expect.

    scale=test: y = x m while training, y = (1 - rate) x at inference.  AlexNet (section 4.2).

    The second with weights w / (1 - rate) behind it is, as a function, the first with w; under
    gradient descent with equal rates and decay it is not.
    """

    name = "dropout"
    example = "dropout 0.5"
    draws = True

    rate: float = positional(PROBABILITY, "probability of dropping a value")
    scale: str = keyword(
        choice("test", "train"), "when values are scaled for those that drop out", default="train"
    )

    @property
    def factor(self) -> float:
        """The factor that values are multiplied by at inference."""
        return 1 - self.rate if self.scale == "test" else 1.0

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return KEEPING

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        return x[0] if self.factor == 1 else x[0] * self.factor

    def training_reference(
        self, inputs: Sequence[Shape], *x: Tensor, layer: str = "", **parameters: Tensor
    ) -> Tensor:
        y = x[0] * self.mask(x[0], layer)
        return y if self.scale == "test" else y / (1 - self.rate)

    def mask(self, x: Tensor, layer: str) -> Tensor:
        """Return which values of ``x``, the input of the stage of this name, are kept."""
        from netspec.ir.randomness import keep

        return keep(x, self.rate, layer)

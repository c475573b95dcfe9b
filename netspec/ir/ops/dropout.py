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
    """Dropout: during training, each value becomes zero with probability ``rate``.

    With m = 0 with probability ``rate``, else 1:

    scale=train: y = x m / (1 - rate) during training, y = x at inference.  This inverted form is
    the one of most libraries, and published weights expect it.

    scale=test: y = x m during training, y = (1 - rate) x at inference.  AlexNet (section 4.2).

    A net with ``scale=test`` and weights w / (1 - rate) in the next layer computes the same as one
    with ``scale=train`` and weights w.  Gradient descent with the same learning rate and weight
    decay trains the two differently.
    """

    name = "dropout"
    example = "dropout 0.5"
    draws = True

    rate: float = positional(PROBABILITY, "probability of dropping a value")
    scale: str = keyword(
        choice("test", "train"), "when values are scaled to make up for dropping", default="train"
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
        """Return True for each value of ``x`` that is kept: bool, in the shape of ``x``.

        Args:
            x: the input of the stage.
            layer: the name of the stage; with the step and the sample it selects the mask.
        """
        from netspec.ir.randomness import keep

        return keep(x, self.rate, layer)

"""A trained factor per channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import REAL, positional
from netspec.ir.growth import Growth, largest
from netspec.ir.operator import Operator, Parameter
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Gain(Operator):
    """A trained factor per channel: y[c] = weight[c] x[c].

    The layer scale of residual branches (Touvron et al. 2021, section 2); ConvNeXt uses
    ``gain 1e-6`` before each add.

    Parameters: weight [channels].
    """

    name = "gain"
    example = "gain 1e-6"
    is_trained = True

    initial: float = positional(REAL, "value of the factors before training")

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        return {"weight": Parameter((inputs[0].channels,), value=self.initial)}

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(largest(parameters["weight"]))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        weight = parameters["weight"]
        return x[0] * (weight.view(-1, 1, 1) if inputs[0].is_map else weight)

"""Fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import COUNT, FLAG, keyword, positional
from netspec.ir.growth import Growth, weighted
from netspec.ir.operator import Operator, Parameter
from netspec.ir.shapes import Field, Shape
from netspec.ir.symbols import by

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FullyConnected(Operator):
    """Fully connected layer: y = w x + b.

    A map is flattened in (channels, height, width) order, the order of published weights.

    Parameters: weight [count, inputs], bias [count].
    """

    name = "fc"
    example = "fc 5"
    is_trained = True

    count: int = positional(COUNT, "number of outputs")
    bias: bool = keyword(FLAG, "whether each output adds a bias", default=True)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return Shape((self.count,))

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        seen = inputs[0].elements
        parameters = {"weight": Parameter((self.count, seen), fan_in=seen)}
        return parameters | {"bias": Parameter((self.count,))} if self.bias else parameters

    def macs(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        return inputs[0].elements, self.count

    def neurons(self, inputs: Sequence[Shape]) -> int:
        return self.count

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].over(inputs[0])

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return f"{self.count} outputs"

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return by((inputs[0].elements, self.count))

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return weighted(parameters["weight"], parameters.get("bias"), inputs[0].elements)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.linear(x[0].flatten(1), parameters["weight"], parameters.get("bias"))

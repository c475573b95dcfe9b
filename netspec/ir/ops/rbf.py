"""Radial basis function layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import CODES, positional
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Operator
from netspec.ir.shapes import Field, Shape, ShapeError
from netspec.ir.values import Codes

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class RadialBasis(Operator):
    """Euclidean radial basis functions: y[j] = sum over i of (x[i] - w[j, i])^2.

    The output layer of LeNet-5 (LeCun et al. 1998, section II.B, equation 7): one unit per class,
    whose weights w are fixed codes of +1 and -1, drawn as patterns with ``codes``.  The outputs
    are penalties: the class with the smallest one is the answer.  The layer has no trained
    parameters.  Its squares are counted as multiply-accumulates.
    """

    name = "rbf"
    example = "fc 4 | rbf signs"
    answers_by = "least"

    codes: Codes = positional(CODES, "patterns of +1 and -1, one per class")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        length = self.codes.height * self.codes.width
        if inputs[0].elements != length:
            raise ShapeError(
                "NS209",
                f"the codes `{self.codes.name}` have {self.codes.height} x {self.codes.width} = "
                f"{length} values, and the input has {inputs[0].elements}",
                help=f"give the layer before it {length} outputs, or draw codes of another size",
                origins=[(0, 0)],
            )
        return Shape((len(self.codes.pictures),))

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return UNKNOWN  # it squares

    def macs(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        return inputs[0].elements, len(self.codes.pictures)

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].over(inputs[0])

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return f"{len(self.codes.pictures)} codes"

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return f"{inputs[0].elements}x{len(self.codes.pictures)}"

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        codes = x[0].new_tensor([list(picture) for picture in self.codes.pictures])
        return (x[0].flatten(1).unsqueeze(1) - codes).square().sum(dim=2)

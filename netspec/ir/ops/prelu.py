"""Rectified linear unit with a trained slope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import FLAG, keyword
from netspec.ir.growth import Growth, largest
from netspec.ir.operator import Operator, Parameter
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PRelu(Operator):
    """Parametric rectified linear unit (He et al. 2015, section 2.1).

    y[c] = x[c] if x[c] > 0, else weight[c] x[c]

    with one trained slope per channel, or with ``shared=on`` one for all channels.  The slopes
    start at 0.25.

    Parameters: weight [channels], or [1] with ``shared=on``.
    """

    name = "prelu"
    example = "prelu"
    is_trained = True

    shared: bool = keyword(FLAG, "one slope for all channels", default=False)

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        return {"weight": Parameter((1 if self.shared else inputs[0].channels,), value=0.25)}

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(max(largest(parameters["weight"]), 1.0))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        return F.prelu(x[0], parameters["weight"])

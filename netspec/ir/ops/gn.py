"""Group normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import COUNT, POSITIVE, keyword, positional
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Operator, Parameter, channels_of_a_group
from netspec.ir.shapes import Field, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GroupNorm(Operator):
    """Group normalisation (Wu and He 2018, section 3.1).

    y[c] = weight[c] (x[c] - mean[g]) / sqrt(variance[g] + eps) + bias[c]

    with the mean and variance of all positions and channels of the group g of channel c, for each
    image separately.  The variance is divided by the number of elements.  Training and inference
    compute the same.  With one group it normalises the whole map; with as many groups as channels
    it is instance normalisation.

    Parameters: weight, bias [channels].
    """

    name = "gn"
    example = "gn 2, eps=1e-3"
    is_trained = True

    groups: int = positional(COUNT, "parts of the channels; each is normalised separately")
    eps: float = keyword(POSITIVE, "added to the variance; implementations differ")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        channels_of_a_group(inputs[0], self.groups)
        return inputs[0]

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        channels = (inputs[0].channels,)
        return {"weight": Parameter(channels, value=1.0), "bias": Parameter(channels)}

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].over(inputs[0])

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return UNKNOWN  # it squares: the result is small, but only while no square overflows

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch

        weight, bias = parameters["weight"], parameters["bias"]
        # F.group_norm raises an error if a batch of one has one value per group
        return torch.group_norm(x[0], self.groups, weight, bias, self.eps)

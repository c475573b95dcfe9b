"""Trained subsampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from netspec.ir.attributes import choice, keyword
from netspec.ir.growth import Growth, largest
from netspec.ir.operator import Parameter, WindowOperator, padded
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Subsample(WindowOperator):
    """Trained subsampling, as in LeNet-5 (LeCun et al. 1998, section II.B).

    y[c, i, j] = coefficient[c] (mean or sum of the window) + bias[c]

    The paper uses the sum, some surveys use the mean.  The two differ by a factor in the
    coefficient, so ``by`` is required.  The mean always divides by the kernel's size, padding
    included.

    Parameters: coefficient [channels], bias [channels].
    """

    name = "subsample"
    example = "subsample 3x2/2, by=mean, pad=(1, 0, 0, 1)"
    is_trained = True

    by: str = keyword(choice("mean", "sum"), "what the coefficient multiplies")

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        channels = (inputs[0].channels,)
        return {"coefficient": Parameter(channels, value=1.0), "bias": Parameter(channels)}

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        taps = prod(self.kernel)
        gain = largest(parameters["coefficient"]) * (taps if self.by == "sum" else 1)
        return Growth(gain, largest(parameters["bias"]), peak=taps)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        y = F.avg_pool2d(padded(x[0], self.windows(inputs)), self.kernel, self.stride)
        if self.by == "sum":
            y = y * prod(self.kernel)
        coefficient, bias = parameters["coefficient"], parameters["bias"]
        return y * coefficient.reshape(-1, 1, 1) + bias.reshape(-1, 1, 1)

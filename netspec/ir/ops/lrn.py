"""Local response normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import COUNT, ODD, POSITIVE, keyword, number, positional
from netspec.ir.growth import Growth, normalised
from netspec.ir.operator import Operator, channels_of_a_group, map_of
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LocalResponseNorm(Operator):
    """Local response normalisation across channels (AlexNet, section 3.3).

    b[i] = a[i] / (k + alpha sum of a[j]^2 over j = max(0, i - n/2) .. min(N - 1, i + n/2)) ^ beta

    with n/2 rounded down and N channels.  This is the paper's formula.  PyTorch, Caffe, ONNX and
    cuda-convnet divide alpha by n: write ``alpha=1e-4/5`` for that.  With ``groups=2`` no window
    crosses from one half of the channels to the other, as on the two GPUs of AlexNet.
    """

    name = "lrn"
    example = "lrn 5, k=2, alpha=0.3, beta=0.75"

    n: int = positional(ODD, "channels in a window")
    k: float = keyword(POSITIVE, "constant of the denominator", default=2.0)
    alpha: float = keyword(number(0), "factor of the sum, not divided by n", default=1e-4)
    beta: float = keyword(number(0), "exponent of the denominator", default=0.75)
    groups: int = keyword(COUNT, "parts of the channels; a window stays within one", default=1)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        shape = map_of(self, inputs)
        channels_of_a_group(shape, self.groups)
        return shape

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return normalised(self.k, self.alpha, self.beta)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        height, width, channels = inputs[0]
        part = channels // self.groups
        reach = min(self.n // 2, part - 1)
        squares = x[0].square().reshape(-1, self.groups, part, height, width)
        squares = F.pad(squares, (0, 0, 0, 0, reach, reach))
        # The sum of a window is added in the order of channels, from slices: no cumulative sum,
        # whose differences would cancel digits.
        total = squares.narrow(2, 0, part)
        for offset in range(1, 2 * reach + 1):
            total = total + squares.narrow(2, offset, part)
        scale = (self.k + self.alpha * total).reshape(-1, channels, height, width)
        return x[0] * scale.pow(-self.beta)

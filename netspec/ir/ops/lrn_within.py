"""Local response normalisation within a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.ir.attributes import ODD, POSITIVE, keyword, number, positional
from netspec.ir.growth import Growth, normalised
from netspec.ir.operator import Operator, map_of
from netspec.ir.reach import Reach
from netspec.ir.shapes import Field, Pair, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LocalResponseNormWithin(Operator):
    """Local response normalisation within each channel, over n x n positions.

    b[i, j] = a[i, j] / (k + alpha sum of a[u, v]^2 over |u - i| <= n/2, |v - j| <= n/2) ^ beta

    with n/2 rounded down; positions outside the map do not count.  cuda-convnet calls it rnorm, and
    Caffe WITHIN_CHANNEL.  Both divide alpha by n^2: write ``alpha=5e-5/9`` for their 5e-5 with
    n = 3.  Both have k = 1.
    """

    name = "lrn_within"
    example = "lrn_within 3, alpha=0.3"

    n: int = positional(ODD, "height and width of a window")
    alpha: float = keyword(number(0), "factor of the sum, not divided by n^2")
    k: float = keyword(POSITIVE, "constant of the denominator", default=1.0)
    beta: float = keyword(number(0), "exponent of the denominator", default=0.75)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return map_of(self, inputs)

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        reach = Reach(((-(self.n // 2), self.n // 2),), 1)
        return fields[0].through((reach, reach))

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return normalised(self.k, self.alpha, self.beta)

    def reach(self, inputs: Sequence[Shape]) -> Pair:
        """Return the positions of a window on each side of its centre that the map can have."""
        height, width, _ = inputs[0]
        return min(self.n // 2, height - 1), min(self.n // 2, width - 1)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        down, right = self.reach(inputs)
        kernel = 2 * down + 1, 2 * right + 1
        squares = x[0].square()
        total = F.avg_pool2d(squares, kernel, 1, (down, right), divisor_override=1)
        return x[0] * (self.k + self.alpha * total).pow(-self.beta)

"""Average pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from netspec.ir.attributes import FLAG, keyword
from netspec.ir.growth import Growth
from netspec.ir.operator import WindowOperator, padded
from netspec.ir.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AvgPool(WindowOperator):
    """Average pooling: the mean of each window, for each channel separately.

    y[c, i, j] = sum over u, v of x[c, i s + u - p, j s + v - p] / (positions that are counted)

    with stride s and zero padding p.  ``count_pad=on`` counts the padding (torchvision's
    Inception v3); ``count_pad=off`` counts only positions inside the map (TensorFlow's v3 and v4).
    Implementations differ, so a pool with padding must set ``count_pad``.  With ``round=ceil``,
    positions beyond the padding are never counted.
    """

    name = "avgpool"
    example = "avgpool 3x2/2, pad=(1, 0, 0, 1), count_pad=on"

    count_pad: bool | None = keyword(FLAG, "whether the mean counts the padding", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pad == (0, 0, 0, 0):
            self._mean("count_pad", None)

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from super().mistakes()
        pads = self.kernel != (1, 1) if isinstance(self.pad, str) else any(self.pad)
        if pads and self.count_pad is None:
            yield "NS133", "count_pad", "implementations differ on whether the padding is counted"

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return Growth(1.0, peak=prod(self.kernel))

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        windows = vertical, horizontal = self.windows(inputs)
        total = F.avg_pool2d(padded(x[0], windows), self.kernel, self.stride)
        if not any(w.before or w.tail for w in windows):
            return total
        # F.avg_pool2d divides by the kernel's size.  The same pool of a map that is 1 where a
        # position counts is the counted share of each window, so the quotient is the mean.
        share = x[0].new_ones(1, 1, vertical.size_in, horizontal.size_in)
        right, bottom = (w.tail - w.overhang for w in (horizontal, vertical))
        sides = (horizontal.before, right, vertical.before, bottom)
        share = F.pad(share, sides, value=1.0 if self.count_pad else 0.0)
        share = F.pad(share, (0, horizontal.overhang, 0, vertical.overhang))
        return total / F.avg_pool2d(share, self.kernel, self.stride)

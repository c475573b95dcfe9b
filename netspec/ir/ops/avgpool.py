"""Average pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from netspec.ir.attributes import FLAG, PAIR, keyword
from netspec.ir.growth import Growth
from netspec.ir.operator import WindowOperator, padded
from netspec.ir.shapes import Pair, Shape, Window

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AvgPool(WindowOperator):
    """Average pooling: the mean of each window, for each channel separately.

    y[c, i, j] = sum over u, v of x[c, i s + u d - p, j s + v d - p] / (positions that are counted)

    with stride s, dilation d and zero padding p.  ``count_pad=on`` counts the padding
    (torchvision's Inception v3); ``count_pad=off`` counts only positions inside the map
    (TensorFlow's v3 and v4).  Implementations differ, so a pool with padding must set
    ``count_pad``.  With ``round=ceil``, positions beyond the padding are never counted.
    """

    name = "avgpool"
    example = "avgpool 3x2/2, pad=(1, 0, 0, 1), count_pad=on"

    dilation: Pair = keyword(PAIR, "distance between taps", default=(1, 1))
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
        windows = self.windows(inputs)
        total = self._pooled(padded(x[0], windows), inputs[0].channels)
        if not any(w.before or w.tail for w in windows):
            return total
        counts = x[0].new_ones(1, 1, *(w.size_in for w in windows))
        return total / self.share(windows, counts)

    def share(self, windows: tuple[Window, Window], counts: Tensor) -> Tensor:
        """Return the counted share of each window's positions, [1, 1, height, width].

        Args:
            windows: along the height and the width.
            counts: ones [1, 1, H, W], the positions of the map.
        """
        import torch.nn.functional as F

        vertical, horizontal = windows
        right, bottom = (w.tail - w.overhang for w in (horizontal, vertical))
        sides = (horizontal.before, right, vertical.before, bottom)
        counts = F.pad(counts, sides, value=1.0 if self.count_pad else 0.0)
        counts = F.pad(counts, (0, horizontal.overhang, 0, vertical.overhang))
        return self._pooled(counts, 1)

    def _pooled(self, x: Tensor, channels: int) -> Tensor:
        """Return the sums of windows, divided by the size of the kernel."""
        import torch.nn.functional as F

        if self.dilation == (1, 1):
            return F.avg_pool2d(x, self.kernel, self.stride)
        # PyTorch's average pool does not have a dilation; its convolutions do.
        weight = x.new_full((channels, 1, *self.kernel), 1 / prod(self.kernel))
        return F.conv2d(x, weight, None, self.stride, 0, self.dilation, channels)

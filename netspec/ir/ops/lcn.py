"""Local contrast normalisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING, Any

from netspec.ir.attributes import KERNEL, POSITIVE, keyword, positional
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.operator import Operator, map_of
from netspec.ir.shapes import Field, Kernel, Pair, Shape, Window, slide
from netspec.ir.symbols import by

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LocalContrastNorm(Operator):
    """Local contrast normalisation, subtractive, then divisive (Jarrett et al. 2009, section 2).

    v[i, y, x] = a[i, y, x] - sum over j, p, q of w[p, q] a[j, y + p, x + q]

    b = v / max(c, s),  s[y, x] = sqrt(sum over j, p, q of w[p, q] v[j, y + p, x + q]^2)

    with c the mean of s over the image's positions, and w[p, q] proportional to
    exp(-(p^2 + q^2) / (2 sigma^2)), scaled so that its sum over all maps j and taps p, q is 1.
    There is no padding: taps outside the map are omitted, and w is scaled to a sum of 1 over the
    taps inside.  A constant image gives 0.  Implementations differ on sigma, so it is required.

    The receptive field grows by the window twice, because s depends on v of the neighbouring
    positions.  The mean c depends on the whole image; the receptive field does not include this.
    """

    name = "lcn"
    example = "lcn 5x3, sigma=1.5"

    kernel: Pair = positional(KERNEL, "height x width of the window, both odd")
    sigma: float = keyword(POSITIVE, "standard deviation of the Gaussian window, in pixels")

    def __post_init__(self) -> None:
        if isinstance(self.kernel, Kernel):
            object.__setattr__(self, "kernel", self.kernel.size)

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if any(taps % 2 == 0 for taps in self.kernel):
            reason = f"lcn needs an odd height and width, and the kernel is {by(self.kernel)}"
            yield "NS132", "kernel", reason

    @classmethod
    def written_mistakes(cls, written: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        kernel: Kernel = written["kernel"]
        if kernel.channels is not None:
            reason = f"lcn always sees all channels: leave out x{kernel.channels}"
            yield "NS132", "kernel", reason
        if kernel.stride is not None:
            reason = f"lcn has no stride: leave out /{kernel.stride}"
            yield "NS132", "kernel", reason

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return map_of(self, inputs)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        return UNKNOWN  # it squares, and divides by a deviation

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return by(self.kernel)

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        reaches = [self._window(axis, inputs[0]).reach for axis in (0, 1)]
        return fields[0].through(reaches).through(reaches)

    def _window(self, axis: int, shape: Shape) -> Window:
        taps = self.kernel[axis]
        return slide(
            axis,
            shape[axis],
            taps,
            stride=1,
            dilation=1,
            padding=(taps // 2, taps // 2),
            rounding="floor",
            clip=False,
        )

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        size = inputs[0][:2]
        inside = self._sums(size, x[0].new_ones(1, 1, *size))
        # Subtracting a constant from the image does not change v, and makes a constant image
        # exactly 0.  Otherwise rounding errors would remain, and the division would enlarge them.
        a = x[0] - x[0][:, :1, :1, :1].detach()
        v = a - self._sums(size, a.mean(1, keepdim=True)) / inside
        squares = self._sums(size, v.square().mean(1, keepdim=True)) / inside
        flat = squares == 0  # masked before the root: its derivative at 0 is infinite
        s = squares.masked_fill(flat, 1).sqrt().masked_fill(flat, 0)
        scale = s.maximum(s.mean((2, 3), keepdim=True))
        return v / scale.masked_fill(scale == 0, 1)

    def _sums(self, size: Sequence[int], x: Tensor) -> Tensor:
        """Return the weighted sums over the taps inside the map.

        A Gaussian window is separable, so the sums are taken along the height, then the width.
        """
        import torch.nn.functional as F

        for axis, length in enumerate(size):
            reach = min(self.kernel[axis] // 2, length - 1)
            wide = F.pad(x, (reach, reach) if axis else (0, 0, reach, reach))
            for tap in range(-reach, reach + 1):
                far = tap / self.sigma
                term = exp(-far * far / 2) * wide.narrow(2 + axis, reach + tap, length)
                x = term if tap == -reach else x + term
        return x

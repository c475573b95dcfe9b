"""What a convolution is given, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from netspec.kernels.conv.tiles import Work
from netspec.kernels.layout import (
    MOST_PIXELS,
    check,
    check_device,
    check_kind,
    check_product,
    pitch,
)

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


@dataclass(frozen=True)
class Geometry:
    """Sizes and steps of a convolution.

    ``channels`` and ``count`` are those of all groups together.  ``padding`` is (top, bottom,
    left, right); a convolution that rounds up carries its overhang in bottom and right.
    """

    batch: int
    height: int
    width: int
    channels: int
    count: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def height_out(self) -> int:
        return self._size_out(self.height, 0)

    @property
    def width_out(self) -> int:
        return self._size_out(self.width, 1)

    def _size_out(self, size: int, axis: int) -> int:
        before, after = self.padding[2 * axis : 2 * axis + 2]
        extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + before + after - extent) // self.stride[axis] + 1

    @property
    def channels_of_group(self) -> int:
        return self.channels // self.groups

    @property
    def count_of_group(self) -> int:
        return self.count // self.groups

    @property
    def pixels_out(self) -> int:
        """Pixels of the whole output batch, N x height x width."""
        return self.batch * self.height_out * self.width_out

    @property
    def terms(self) -> int:
        """Products that each output sums: kernel height x width x channels of a group."""
        return prod(self.kernel) * self.channels_of_group

    @property
    def macs(self) -> int:
        return self.pixels_out * self.count * self.terms

    @property
    def size_in(self) -> tuple[int, int, int, int]:
        return (self.batch, self.height, self.width, self.channels)

    @property
    def size_out(self) -> tuple[int, int, int, int]:
        return (self.batch, self.height_out, self.width_out, self.count)

    @property
    def size_of_weight(self) -> tuple[int, int, int, int]:
        return (self.count, *self.kernel, self.channels_of_group)

    @property
    def work(self) -> Work:
        """The forward product: output pixels x filters, over taps and channels."""
        return Work(
            rows=self.pixels_out,
            columns=self.count_of_group,
            taps=prod(self.kernel),
            depth=self.channels_of_group,
            groups=self.groups,
        )

    @property
    def is_pointwise(self) -> bool:
        """Whether every output pixel sees the one input pixel at its own place."""
        return self.kernel == self.stride == (1, 1) and not any(self.padding)

    def constants(self) -> dict[str, int]:
        """The steps as the kernels' compile-time arguments."""
        return {
            "KERNEL_H": self.kernel[0],
            "KERNEL_W": self.kernel[1],
            "STRIDE_H": self.stride[0],
            "STRIDE_W": self.stride[1],
            "PADDING_TOP": self.padding[0],
            "PADDING_LEFT": self.padding[2],
            "DILATION_H": self.dilation[0],
            "DILATION_W": self.dilation[1],
        }


def geometry(
    x: Tensor, w: Tensor, stride: list[int], padding: list[int], dilation: list[int], groups: int
) -> Geometry:
    """The geometry of a convolution of ``x`` [N, H, W, C] with ``w`` [O, kh, kw, C / groups].

    Raises:
        ValueError: sizes do not fit each other, or a layout is no channels-last one.
        TypeError: types or devices differ, or are none that the kernels run on.
    """
    check_device(x)
    check_product(x)
    check_kind("w", w, x)
    pitch("x", x)
    if w.dim() != 4:
        raise ValueError(f"w must be [O, kh, kw, C / groups], and is {list(w.shape)}")
    for name, steps, wanted in (("stride", stride, 2), ("padding", padding, 4)):
        if len(steps) != wanted:
            raise ValueError(f"{name} must be {wanted} integers, and is {list(steps)}")
    if len(dilation) != 2 or min(*stride, *dilation) < 1 or min(padding) < 0 or groups < 1:
        raise ValueError(
            f"stride {list(stride)}, dilation {list(dilation)} and groups {groups} must be at "
            f"least 1, and padding {list(padding)} at least 0"
        )
    batch, height, width, channels = x.shape
    count, kernel_h, kernel_w, seen = w.shape
    if min(count, seen) < 1:
        raise ValueError(f"w {list(w.shape)} has no filters, or filters of no channels")
    if seen * groups != channels or count % groups:
        raise ValueError(
            f"w {list(w.shape)} in {groups} groups does not fit x {list(x.shape)}: each of the "
            f"groups has {channels}/{groups} channels and {count}/{groups} filters"
        )
    found = Geometry(
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        count=count,
        kernel=(kernel_h, kernel_w),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
        dilation=(dilation[0], dilation[1]),
        groups=groups,
    )
    if min(found.height_out, found.width_out) < 1 or min(kernel_h, kernel_w) < 1:
        raise ValueError(
            f"a kernel of {kernel_h}x{kernel_w} does not fit into {height}x{width} with padding "
            f"{list(padding)} and dilation {list(dilation)}"
        )
    check("w", w, found.size_of_weight, like=x)
    return found


def check_pixels(geometry: Geometry) -> None:
    """Refuse more pixels than 32 bits count.

    Raises:
        ValueError: input or output has more than :data:`MOST_PIXELS`.
    """
    pixels = max(geometry.pixels_out, geometry.batch * geometry.height * geometry.width)
    if pixels > MOST_PIXELS:
        raise ValueError(f"{pixels} pixels are more than {MOST_PIXELS}: split the batch")


def example(
    size: tuple[int, int, int, int],
    filters: tuple[int, int, int, int],
    dtype: torch.dtype,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Geometry]:
    """Operands (x, w, b, y) of a layer without memory behind them, and its geometry; what overhangs
    because sizes round up is padding at the bottom and right."""
    x, w = (torch.empty(s, dtype=dtype, device="meta") for s in (size, filters))
    far = [
        padding + -(extent + 2 * padding - taps) % stride
        for extent, taps in zip(size[1:3], filters[1:3], strict=True)
    ]
    sides = [padding, far[0], padding, far[1]]
    found = geometry(x, w, [stride, stride], sides, [1, 1], groups)
    b = torch.empty(found.count, dtype=dtype, device="meta")
    return x, w, b, torch.empty(found.size_out, dtype=dtype, device="meta"), found

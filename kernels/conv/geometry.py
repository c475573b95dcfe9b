"""The sizes and attributes of a convolution, and checks of its operands."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from netspec.kernels.layout import check, check_device, check_kind, check_product, pitch
from netspec.kernels.windows import Pair, Windows


@dataclass(frozen=True, kw_only=True)
class Geometry(Windows):
    """Windows with ``count`` filters.

    ``channels`` and ``count`` are totals over all groups; ``dilation`` is the distance between
    taps, (height, width).
    """

    count: int
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def channels_out(self) -> int:
        return self.count

    def extent(self, axis: int) -> int:
        """Return the size in pixels of a window, from its first tap to its last, on axis 0 or 1."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    @property
    def channels_of_group(self) -> int:
        return self.channels // self.groups

    @property
    def count_of_group(self) -> int:
        return self.count // self.groups

    @property
    def terms(self) -> int:
        """Number of products per output: kernel height x width x channels of a group."""
        return prod(self.kernel) * self.channels_of_group

    @property
    def macs(self) -> int:
        return self.pixels_out * self.count * self.terms

    @property
    def size_of_weight(self) -> tuple[int, int, int, int]:
        return (self.count, *self.kernel, self.channels_of_group)

    @property
    def is_pointwise(self) -> bool:
        """True if every output pixel depends only on the input pixel at the same place."""
        return self.kernel == self.stride == (1, 1) and not any(self.padding)

    def constants(self) -> dict[str, int]:
        """Return kernel, stride, padding and dilation as compile-time arguments of kernels."""
        return {
            **self.window_constants(),
            "DILATION_H": self.dilation[0],
            "DILATION_W": self.dilation[1],
        }


def geometry_of(
    x: Tensor, w: Tensor, stride: list[int], padding: list[int], dilation: list[int], groups: int
) -> Geometry:
    """Return the geometry of a convolution, unchecked; sizes may be symbols.

    Args:
        x: [N, H, W, C].
        w: [O, kh, kw, C / groups].
        stride: (height, width).
        padding: (top, bottom, left, right).
        dilation: (height, width).
        groups: number of groups of channels and filters.
    """
    batch, height, width, channels = x.shape
    count, kernel_h, kernel_w, _ = w.shape
    return Geometry(
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


def checked(
    x: Tensor, w: Tensor, stride: list[int], padding: list[int], dilation: list[int], groups: int
) -> Geometry:
    """Return the geometry of a convolution, after checks of its operands.

    Raises:
        ValueError: if sizes do not match, or a tensor is not channels-last.
        TypeError: if types or devices differ, or the kernels do not support them.
    """
    check_device(x)
    check_product(x)
    check_kind("w", w, x)
    pitch("x", x)
    if w.dim() != 4:
        raise ValueError(f"w must be [O, kh, kw, C / groups], and is {list(w.shape)}")
    for name, values, length in (("stride", stride, 2), ("padding", padding, 4)):
        if len(values) != length:
            raise ValueError(f"{name} must be {length} integers, and is {list(values)}")
    if len(dilation) != 2 or min(*stride, *dilation) < 1 or min(padding) < 0 or groups < 1:
        raise ValueError(
            f"stride {list(stride)}, dilation {list(dilation)} and groups {groups} must be at "
            f"least 1, and padding {list(padding)} at least 0"
        )
    geometry = geometry_of(x, w, stride, padding, dilation, groups)
    channels, count, seen = geometry.channels, geometry.count, w.shape[3]
    if min(count, seen) < 1:
        raise ValueError(f"w {list(w.shape)} has no filters, or filters without channels")
    if seen * groups != channels or count % groups:
        raise ValueError(
            f"w {list(w.shape)} in {groups} groups does not fit x {list(x.shape)}: each of the "
            f"groups has {channels}/{groups} channels and {count}/{groups} filters"
        )
    height, width = geometry.kernel
    if min(geometry.height_out, geometry.width_out) < 1 or min(height, width) < 1:
        raise ValueError(
            f"a kernel of {height}x{width} does not fit into {geometry.height}x{geometry.width} "
            f"with padding {list(padding)} and dilation {list(dilation)}"
        )
    check("w", w, geometry.size_of_weight, like=x)
    return geometry


def arguments_of(x: Tensor, geometry: Geometry) -> dict[str, Any]:
    """Return the arguments of all kernels that read the windows of ``x`` [N, H, W, C]."""
    return {
        "x_ptr": x,
        "x_pitch": pitch("x", x),
        "height": geometry.height,
        "width": geometry.width,
        "height_out": geometry.height_out,
        "width_out": geometry.width_out,
        "pixels": geometry.pixels_out,
        "channels": geometry.channels_of_group,
        "count": geometry.count_of_group,
        **geometry.constants(),
    }


def example(
    size: tuple[int, int, int, int],
    filters: tuple[int, int, int, int],
    dtype: torch.dtype,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Geometry]:
    """Return operands (x, w, b, y) of a layer on the ``meta`` device, and its geometry.

    Sizes round up; the overhang becomes padding at the bottom and right.
    """
    x, w = (torch.empty(s, dtype=dtype, device="meta") for s in (size, filters))
    far = [
        padding + -(extent + 2 * padding - taps) % stride
        for extent, taps in zip(size[1:3], filters[1:3], strict=True)
    ]
    sides = [padding, far[0], padding, far[1]]
    geometry = checked(x, w, [stride, stride], sides, [1, 1], groups)
    b = torch.empty(geometry.count, dtype=dtype, device="meta")
    return x, w, b, torch.empty(geometry.size_out, dtype=dtype, device="meta"), geometry

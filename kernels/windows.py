"""The windows of a layer over maps, for convolutions, pools, and LRN with pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netspec.kernels.layout import MOST_PIXELS

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Sizes of maps [N, H, W, C] and of windows over them.

    Attributes:
        batch, height, width, channels: size of the input.
        kernel: size of a window, (height, width).
        stride: distance between windows, (height, width).
        padding: (top, bottom, left, right).  If a layer rounds sizes up, the part of the last
            windows beyond the padding (the overhang) is included in bottom and right.
    """

    batch: int
    height: int
    width: int
    channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)

    @property
    def height_out(self) -> int:
        return self._size_out(self.height, 0)

    @property
    def width_out(self) -> int:
        return self._size_out(self.width, 1)

    @property
    def channels_out(self) -> int:
        return self.channels

    def _size_out(self, size: int, axis: int) -> int:
        before, after = self.padding[2 * axis : 2 * axis + 2]
        return (size + before + after - self.extent(axis)) // self.stride[axis] + 1

    def extent(self, axis: int) -> int:
        """Return the size in pixels of a window, from its first tap to its last, on axis 0 or 1."""
        return self.kernel[axis]

    @property
    def pixels(self) -> int:
        """Number of pixels of the whole batch, N x height x width."""
        return self.batch * self.height * self.width

    @property
    def pixels_out(self) -> int:
        """Number of pixels of the whole output batch, N x height x width."""
        return self.batch * self.height_out * self.width_out

    @property
    def size_in(self) -> tuple[int, int, int, int]:
        return (self.batch, self.height, self.width, self.channels)

    @property
    def size_out(self) -> tuple[int, int, int, int]:
        return (self.batch, self.height_out, self.width_out, self.channels_out)

    def window_constants(self) -> dict[str, int]:
        """Return kernel, stride and padding as compile-time arguments of kernels."""
        return {
            "KERNEL_H": self.kernel[0],
            "KERNEL_W": self.kernel[1],
            "STRIDE_H": self.stride[0],
            "STRIDE_W": self.stride[1],
            "PADDING_TOP": self.padding[0],
            "PADDING_LEFT": self.padding[2],
        }


def windows_over(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Windows:
    """Return the windows over maps of ``size`` (N, H, W, C), unchecked; sizes may be symbols."""
    batch, height, width, channels = size
    return Windows(
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        kernel=(kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )


def fitting_windows(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Windows:
    """Return the windows over maps of ``size`` (N, H, W, C), after checks.

    Windows that contain only padding are allowed.

    Raises:
        ValueError: if an attribute has the wrong length or sign, or the kernel does not fit.
    """
    for name, values, length in (
        ("kernel", kernel, 2),
        ("stride", stride, 2),
        ("padding", padding, 4),
    ):
        if len(values) != length:
            raise ValueError(f"{name} must be {length} integers, and is {list(values)}")
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ValueError(
            f"kernel {list(kernel)} and stride {list(stride)} must be at least 1, and padding "
            f"{list(padding)} at least 0"
        )
    windows = windows_over(size, kernel, stride, padding)
    for axis, name, extent, out in axes(windows):
        if out < 1:
            raise ValueError(
                f"a window of {kernel[axis]} does not fit into a {name} of {extent} with padding "
                f"{list(padding)}"
            )
    return windows


def axes(windows: Windows) -> tuple[tuple[int, str, int, int], ...]:
    """Return index, name, input size and output size of the two axes of a map."""
    return (
        (0, "height", windows.height, windows.height_out),
        (1, "width", windows.width, windows.width_out),
    )


def check_pixels(windows: Windows) -> None:
    """Raise ValueError if input or output has more pixels than :data:`MOST_PIXELS`."""
    pixels = max(windows.pixels_out, windows.pixels)
    if pixels > MOST_PIXELS:
        raise ValueError(f"{pixels} pixels are more than {MOST_PIXELS}: split the batch")

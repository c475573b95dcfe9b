"""Shared parts of the pools: checks of windows, and the division into programs.

If sizes round up, the padding at the bottom and right includes the overhang.

A program computes ``pixels`` pixels of a map x ``channels`` channels, with 16 bytes of channels per
thread.  So a warp reads whole sectors, and positions are computed once per pixel, not once per
element.  Consecutive programs are adjacent in channels first, then in pixels: values that windows
share come from the caches, and memory is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.launch import blocks, power_of_two
from netspec.kernels.layout import MOST_PIXELS
from netspec.kernels.windows import Windows, axes, fitting_windows

# ---------------------------------------------------------------------------------------- windows


def checked(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Windows:
    """Return the windows over maps of ``size`` (N, H, W, C), after checks.

    Raises:
        ValueError: as :func:`fitting_windows`; or if a window contains only padding, or there are
            too many pixels for 32-bit indices.
    """
    windows = fitting_windows(size, kernel, stride, padding)
    for axis, name, extent, out in axes(windows):
        before = padding[2 * axis]
        if before >= kernel[axis] or (out - 1) * stride[axis] - before >= extent:
            raise ValueError(
                f"a window of {kernel[axis]} with stride {stride[axis]} and padding "
                f"{list(padding)} contains only padding in a {name} of {extent}"
            )
    height = windows.height + padding[0] + padding[1]
    width = windows.width + padding[2] + padding[3]
    if windows.batch * height * width > MOST_PIXELS:
        raise ValueError(f"there are more than {MOST_PIXELS} pixels: split the batch")
    return windows


def constants(windows: Windows) -> dict[str, int]:
    """Return kernel, stride, padding and INSIDE as compile-time arguments of kernels.

    The first ``INSIDE_H`` x ``INSIDE_W`` taps of all windows are before the end of the map, so
    kernels do not compare them with it.
    """
    return windows.window_constants() | {
        "INSIDE_H": inside(windows, 0, windows.height_out - 1),
        "INSIDE_W": inside(windows, 1, windows.width_out - 1),
    }


def inside(windows: Windows, axis: int, last: int) -> int:
    """Return the number of positions from the start of window ``last`` to the end of the map."""
    size = (windows.height, windows.width)[axis]
    return size + windows.padding[2 * axis] - last * windows.stride[axis]


def sizes(windows: Windows) -> dict[str, int]:
    """Return the run-time arguments of all kernels over windows."""
    return {
        "batch": windows.batch,
        "height": windows.height,
        "width": windows.width,
        "height_out": windows.height_out,
        "width_out": windows.width_out,
        "channels": windows.channels,
    }


def example(
    size: tuple[int, int, int, int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Windows]:
    """Return operands (x, y) of a layer on the ``meta`` device, and its windows."""
    windows = checked(size, kernel, stride, padding)
    x, y = (torch.empty(s, dtype=dtype, device="meta") for s in (size, windows.size_out))
    return x, y, windows


# ------------------------------------------------------------------------------------------ tiles


@dataclass(frozen=True)
class WindowTile:
    """The work of a program: ``pixels`` x ``channels`` elements."""

    pixels: int
    channels: int
    warps: int = 4

    def programs(self, pixels: int, channels: int) -> int:
        return blocks(pixels, self.pixels) * blocks(channels, self.channels)

    def constants(self) -> dict[str, int]:
        return {"PIXELS": self.pixels, "CHANNELS": self.channels}


CHANNELS = (64, 32, 16, 8, 4, 2, 1)
"""Channels per tile; 64 channels of two bytes are a whole cache line."""


def choose(channels: int, dtype: torch.dtype, loads: int = 1) -> WindowTile:
    """Return the tile that wastes the fewest lanes, with ``loads`` times 16 bytes per thread."""
    tile = WindowTile(1, 1)
    elements = loads * tile.warps * 32 * max(1, 16 // dtype.itemsize)
    # A tile narrower than a sector of 32 bytes would read the same sector twice.
    narrow = min(power_of_two(max(1, channels)), 32 // dtype.itemsize)
    widths = [width for width in CHANNELS if width >= narrow]
    width = min(widths, key=lambda width: blocks(max(1, channels), width) * width)
    return WindowTile(elements // width, width)


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def place(height, width, channels, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """Return (image, row, column) [PIXELS] and channels [CHANNELS] of this program's tile.

    Maps have height x width pixels.
    """
    tiles = tl.cdiv(channels, CHANNELS)
    program = tl.program_id(0)
    c = program % tiles * CHANNELS + tl.arange(0, CHANNELS)
    pixel = program // tiles * PIXELS + tl.arange(0, PIXELS)
    rest = pixel // width
    return rest // height, rest % height, pixel % width, c


@triton.jit
def is_within(at, size, BEFORE: tl.constexpr, AFTER: tl.constexpr):
    """Return a mask: True where places are on an axis of the map.

    BEFORE and AFTER say whether places can be before or after it; other comparisons are omitted.
    """
    is_on_map = tl.full(at.shape, True, tl.int1)
    if BEFORE:
        is_on_map &= at >= 0
    if AFTER:
        is_on_map &= at < size
    return is_on_map

"""What the pools share: the check of their windows and the cut into programs.

Rounding up is expressed in the padding: bottom and right carry the overhang.

A program covers ``pixels`` places of a map x ``channels`` channels, sixteen bytes of channels a
thread, so that a warp reads whole sectors and all arithmetic of places is done once a pixel, not
once an element.  Programs that run together lie side by side in channels, then in pixels: what
windows share comes from the caches, and memory is read once.
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
    """Return the windows over maps of ``size`` (N, H, W, C) if each sees a pixel of its map.

    Raises:
        ValueError: as :func:`fitting_windows`; or a window sees only padding, or there are more
            pixels than 32 bits count.
    """
    windows = fitting_windows(size, kernel, stride, padding)
    for axis, name, extent, out in axes(windows):
        before = padding[2 * axis]
        if before >= kernel[axis] or (out - 1) * stride[axis] - before >= extent:
            raise ValueError(
                f"a window of {kernel[axis]} with stride {stride[axis]} and padding "
                f"{list(padding)} sees only padding in a {name} of {extent}"
            )
    height = windows.height + padding[0] + padding[1]
    width = windows.width + padding[2] + padding[3]
    if windows.batch * height * width > MOST_PIXELS:
        raise ValueError(f"there are more than {MOST_PIXELS} pixels: split the batch")
    return windows


def constants(windows: Windows) -> dict[str, int]:
    """Kernel, stride, padding, and what spares loops their comparisons, for the kernels.

    The first ``INSIDE_H`` x ``INSIDE_W`` taps of no window pass the end of the map: they need not
    be compared with it.
    """
    return windows.window_constants() | {
        "INSIDE_H": inside(windows, 0, windows.height_out - 1),
        "INSIDE_W": inside(windows, 1, windows.width_out - 1),
    }


def inside(windows: Windows, axis: int, last: int) -> int:
    """Positions from the start of window ``last`` to the end of the map."""
    size = (windows.height, windows.width)[axis]
    return size + windows.padding[2 * axis] - last * windows.stride[axis]


def sizes(windows: Windows) -> dict[str, int]:
    """The run-time arguments of every kernel over windows."""
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
    """Operands (x, y) of a layer on the ``meta`` device, and its windows."""
    windows = checked(size, kernel, stride, padding)
    x, y = (torch.empty(s, dtype=dtype, device="meta") for s in (size, windows.size_out))
    return x, y, windows


# ------------------------------------------------------------------------------------------ tiles


@dataclass(frozen=True)
class WindowTile:
    """A program's share: ``pixels`` x ``channels`` elements."""

    pixels: int
    channels: int
    warps: int = 4

    def programs(self, pixels: int, channels: int) -> int:
        return blocks(pixels, self.pixels) * blocks(channels, self.channels)

    def constants(self) -> dict[str, int]:
        return {"PIXELS": self.pixels, "CHANNELS": self.channels}


CHANNELS = (64, 32, 16, 8, 4, 2, 1)
"""Channels of a tile; 64 of two bytes are a whole line of the cache."""


def choose(channels: int, dtype: torch.dtype, loads: int = 1) -> WindowTile:
    """The tile that wastes fewest lanes on ``channels``, of ``loads`` times 16 bytes a thread."""
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
    """(image, row, column) [PIXELS] and channels [CHANNELS] of this program's tile, over maps of
    height x width pixels."""
    tiles = tl.cdiv(channels, CHANNELS)
    program = tl.program_id(0)
    c = program % tiles * CHANNELS + tl.arange(0, CHANNELS)
    pixel = program // tiles * PIXELS + tl.arange(0, PIXELS)
    rest = pixel // width
    return rest // height, rest % height, pixel % width, c


@triton.jit
def is_within(at, size, BEFORE: tl.constexpr, AFTER: tl.constexpr):
    """Whether places lie on a map's axis, where they can lie before or after it."""
    is_on_map = tl.full(at.shape, True, tl.int1)
    if BEFORE:
        is_on_map &= at >= 0
    if AFTER:
        is_on_map &= at < size
    return is_on_map

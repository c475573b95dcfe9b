"""What the pools share: the window arithmetic and the cut into programs.

A pool is a convolution's geometry with one filter a channel, so :class:`Geometry` is the
convolution's; a pool has no dilation.  Rounding up is expressed in the padding: bottom and right
carry the overhang.

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

from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import blocks, power_of_two
from netspec.kernels.layout import MOST_PIXELS

# ---------------------------------------------------------------------------------------- windows


def windows(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Geometry:
    """The windows over maps of ``size`` (N, H, W, C), unchecked; sizes may be symbols.

    ``padding`` is (top, bottom, left, right), the overhang included.
    """
    batch, height, width, channels = size
    return Geometry(
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        count=channels,
        kernel=(kernel[0], kernel[1]),
        stride=(stride[0], stride[1]),
        padding=(padding[0], padding[1], padding[2], padding[3]),
    )


def fitting(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Geometry:
    """The same, where a window fits; one may lie in the padding.

    Raises:
        ValueError: an attribute has the wrong length or sign, or the kernel does not fit.
    """
    for name, steps, wanted in (
        ("kernel", kernel, 2),
        ("stride", stride, 2),
        ("padding", padding, 4),
    ):
        if len(steps) != wanted:
            raise ValueError(f"{name} must be {wanted} integers, and is {list(steps)}")
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ValueError(
            f"kernel {list(kernel)} and stride {list(stride)} must be at least 1, and padding "
            f"{list(padding)} at least 0"
        )
    found = windows(size, kernel, stride, padding)
    for axis, name, extent, out in _axes(found):
        if out < 1:
            raise ValueError(
                f"a window of {kernel[axis]} does not fit into a {name} of {extent} with padding "
                f"{list(padding)}"
            )
    return found


def checked(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Geometry:
    """The same, where every window sees a pixel of the map.

    Raises:
        ValueError: as :func:`fitting`; or a window sees only padding, or there are more pixels than
            32 bits count.
    """
    found = fitting(size, kernel, stride, padding)
    for axis, name, extent, out in _axes(found):
        before = padding[2 * axis]
        if before >= kernel[axis] or (out - 1) * stride[axis] - before >= extent:
            raise ValueError(
                f"a window of {kernel[axis]} with stride {stride[axis]} and padding "
                f"{list(padding)} sees only padding in a {name} of {extent}"
            )
    height = found.height + padding[0] + padding[1]
    width = found.width + padding[2] + padding[3]
    if found.batch * height * width > MOST_PIXELS:
        raise ValueError(f"there are more than {MOST_PIXELS} pixels: split the batch")
    return found


def _axes(found: Geometry) -> tuple[tuple[int, str, int, int], ...]:
    return (
        (0, "height", found.height, found.height_out),
        (1, "width", found.width, found.width_out),
    )


def check_size(name: str, x: Tensor, size: tuple[int, ...]) -> None:
    """Refuse a map of another size.

    Raises:
        ValueError: it is not ``size``.
    """
    if tuple(x.shape) != size:
        raise ValueError(f"{name} must be {list(size)}, and is {list(x.shape)}")


def shape(geometry: Geometry) -> dict[str, int]:
    """Size, step and padding as the kernels' compile-time arguments."""
    constants = geometry.constants()
    del constants["DILATION_H"], constants["DILATION_W"]
    return constants


def steps(geometry: Geometry) -> dict[str, int]:
    """The same, and the compile-time arguments for loops without comparisons.

    The first ``INSIDE_H`` x ``INSIDE_W`` taps of no window pass the end of the map: they need not
    be compared with it.
    """
    return shape(geometry) | {
        "INSIDE_H": inside(geometry, 0, geometry.height_out - 1),
        "INSIDE_W": inside(geometry, 1, geometry.width_out - 1),
    }


def inside(geometry: Geometry, axis: int, last: int) -> int:
    """Positions from the start of window ``last`` to the end of the map."""
    size = (geometry.height, geometry.width)[axis]
    return size + geometry.padding[2 * axis] - last * geometry.stride[axis]


def sizes(geometry: Geometry) -> dict[str, int]:
    """The run-time arguments of every kernel over windows."""
    return {
        "batch": geometry.batch,
        "height": geometry.height,
        "width": geometry.width,
        "height_out": geometry.height_out,
        "width_out": geometry.width_out,
        "channels": geometry.channels,
    }


def example(
    size: tuple[int, int, int, int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Geometry]:
    """Operands (x, y) of a layer without memory behind them, and its geometry."""
    found = checked(size, kernel, stride, padding)
    x, y = (torch.empty(s, dtype=dtype, device="meta") for s in (size, found.size_out))
    return x, y, found


# ------------------------------------------------------------------------------------------ tiles


@dataclass(frozen=True)
class Tile:
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


def choose(channels: int, dtype: torch.dtype, loads: int = 1) -> Tile:
    """The tile that wastes fewest lanes on ``channels``, of ``loads`` times 16 bytes a thread."""
    tile = Tile(1, 1)
    elements = loads * tile.warps * 32 * max(1, 16 // dtype.itemsize)
    # A tile narrower than a sector of 32 bytes would read the same sector twice.
    narrow = min(power_of_two(max(1, channels)), 32 // dtype.itemsize)
    widths = [width for width in CHANNELS if width >= narrow]
    width = min(widths, key=lambda width: blocks(max(1, channels), width) * width)
    return Tile(elements // width, width)


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
    found = tl.full(at.shape, True, tl.int1)
    if BEFORE:
        found &= at >= 0
    if AFTER:
        found &= at < size
    return found

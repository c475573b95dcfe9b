"""Estimated seconds of convolutions and products on an H200, for choices that are not measured.

The estimates are a model of the machine code of netspec's kernels for sm_90 and assumptions on
cuDNN and cuBLAS.  No estimate was compared with a measured time: errors of 30 % are expected.  A
measurement replaces them (``netspec.compile(net, measured=True)``).  They cover only half
precision.

Model of netspec's kernels: a step of a program takes the largest of three times: its products on
the tensor cores, its instructions, and its reads from the L2 cache.  At every tap of a window the
pipeline is filled again, which takes ``REFILL`` clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from netspec.kernels.conv import packed, split
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import MULTIPROCESSORS, blocks

CLOCK = 1.75e9
"""Clocks per second."""
BANDWIDTH = 4.3e12
"""Bytes per second of a copy; measured on an H200."""
PEAK = 790e12
"""Operations per second of bf16 products; measured on an H200."""
L2 = 36
"""Bytes per clock that a multiprocessor reads from the L2 cache."""
REFILL, SETUP, LAUNCH = 700, 350, 0.8e-6
"""Clocks to fill a pipeline, clocks of the beginning and end of a program, seconds of a launch."""
PER_CLOCK = 2048
"""Multiply-adds per clock of the tensor cores of a multiprocessor."""


@dataclass(frozen=True)
class Compiled:
    """A tile as compiled: its size, warps, programs per multiprocessor, and instructions per step
    and per tap."""

    rows: int
    columns: int
    depth: int
    warps: int
    resident: int
    step: int
    tap: int = 0


IMPLICIT = (
    Compiled(128, 128, 64, 8, 1, 97, 145),
    Compiled(128, 64, 64, 4, 2, 134, 266),
    Compiled(64, 64, 64, 4, 3, 99, 191),
    Compiled(64, 64, 16, 4, 8, 60, 150),
    Compiled(64, 32, 64, 4, 4, 90, 170),
)
POINTWISE = (
    Compiled(128, 128, 64, 8, 1, 72),
    Compiled(128, 64, 64, 4, 3, 80),
    Compiled(64, 64, 64, 4, 3, 70),
    Compiled(64, 32, 64, 4, 4, 60),
)
SPLIT = (IMPLICIT[2], IMPLICIT[4])
PACKED = Compiled(128, 64, 32, 8, 2, 884)
"""The tile of first layers, as Triton 3.6 compiles it."""

CUDNN = {(256, 128): 0.8, (128, 256): 0.8, (128, 128): 0.7, (128, 64): 0.5, (64, 64): 0.35}
"""Tiles that cuDNN is assumed to have, and their shares of the tensor cores' peak."""
CUDNN_FIRST = 0.12
"""The share of the peak that cuDNN is assumed to reach with up to four channels: the lower end of
12 to 35 %."""


def triton_conv(geometry: Geometry) -> float:
    """Return the seconds of a convolution by the kernel that the model of tiles chooses among."""
    pixels, count, groups = geometry.pixels_out, geometry.count_of_group, geometry.groups
    depth, taps = geometry.channels_of_group, prod(geometry.kernel)
    if packed.fits(geometry):
        return _packed(geometry) + LAUNCH
    is_pointwise = geometry.is_pointwise and groups == 1
    whole = [
        _product(pixels, count, depth, taps, groups, tile)
        for tile in (POINTWISE if is_pointwise else IMPLICIT)
    ]
    parts = [
        _product(pixels, count, blocks(steps, splits) * tile.depth, taps, groups * splits, tile)
        + 2 * LAUNCH
        + (splits + 0.5) * pixels * geometry.count * 4 / BANDWIDTH
        for splits in split.SPLITS
        for tile in SPLIT
        if (steps := blocks(depth, tile.depth)) >= splits and steps * taps >= 4 * splits
    ]
    return min(whole + parts) + LAUNCH


def cudnn_conv(geometry: Geometry) -> float:
    """Return the seconds of a convolution by cuDNN, then bias and ReLU as a second pass."""
    operations = 2 * geometry.pixels_out * geometry.count * geometry.terms
    inputs = geometry.batch * geometry.height * geometry.width * geometry.channels
    outputs = geometry.pixels_out * geometry.count
    moved = 2 * (inputs + outputs + geometry.count * geometry.terms)
    steps = blocks(geometry.terms, 64)
    clocks = min(
        blocks(programs, MULTIPROCESSORS)
        * (blocks(steps, splits) * rows * columns * 64 / PER_CLOCK / share + 1500)
        for (rows, columns), share in CUDNN.items()
        for splits in (1, 2, 4)
        if splits == 1 or steps >= 8 * splits
        for programs in [
            blocks(geometry.pixels_out, rows)
            * blocks(geometry.count_of_group, columns)
            * geometry.groups
            * splits
        ]
    )
    seconds = clocks / CLOCK
    if geometry.channels <= 4:
        seconds = max(seconds, operations / (CUDNN_FIRST * PEAK))
    second_pass = 2 * 2 * outputs / (0.9 * BANDWIDTH) + 1.2e-6
    return max(seconds, moved / (0.85 * BANDWIDTH)) + 2e-6 + second_pass


def triton_fc(batch: int, terms: int, count: int) -> float:
    """Return the seconds of a fully connected layer by netspec's kernels."""
    share = 0.82 if batch <= 4 else 0.6 if batch <= 8 else 0.5
    return _fc(batch, terms, count, share, 0.5) + 1.5e-6


def blas_fc(batch: int, terms: int, count: int) -> float:
    """Return the seconds of a fully connected layer by cuBLAS."""
    return _fc(batch, terms, count, 0.75, 0.65) + 2.5e-6


def _fc(batch: int, terms: int, count: int, of_bandwidth: float, of_peak: float) -> float:
    moved = 2 * (batch * (terms + count) + count * terms)
    operations = 2 * batch * terms * count
    return max(moved / (of_bandwidth * BANDWIDTH), operations / (of_peak * PEAK))


def _product(pixels: int, count: int, depth: int, taps: int, groups: int, tile: Compiled) -> float:
    """Return the seconds of a product in tiles, without the launch."""
    programs = blocks(pixels, tile.rows) * blocks(count, tile.columns) * groups
    steps = blocks(depth, tile.depth)
    products = tile.rows * tile.columns * tile.depth / PER_CLOCK
    if tile.columns < 64:
        products *= 1.5
    reads = (tile.rows + tile.columns) * tile.depth * 2 / L2
    step = max(products, tile.step * tile.warps / 4, reads)
    of_tap = tile.tap * tile.warps / 4
    together = min(tile.resident, max(1, blocks(programs, MULTIPROCESSORS)))
    end = SETUP + tile.rows * tile.columns * 2 / 24
    one = taps * (REFILL + of_tap + steps * step) + end
    all_of_them = together * (taps * (steps * step + of_tap) + end / 2)
    rounds = blocks(programs, MULTIPROCESSORS * together)
    return rounds * max(one, all_of_them) / CLOCK


def _packed(geometry: Geometry) -> float:
    tile = PACKED
    steps = blocks(geometry.terms, tile.depth)
    programs = blocks(geometry.pixels_out, tile.rows) * blocks(geometry.count, tile.columns)
    of_program = steps * tile.step * tile.warps / 4 + 1200
    rounds = blocks(programs, MULTIPROCESSORS * tile.resident) * tile.resident
    return (rounds if programs > MULTIPROCESSORS else 1) * of_program / CLOCK

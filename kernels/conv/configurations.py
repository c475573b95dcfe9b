"""The configurations of a forward convolution: kernels with their tiles.

Several kernels can compute the same convolution.  Measurement on the GPU finds the fastest;
:func:`candidates` lists the configurations to measure, and :func:`fastest` returns what was found.
Without a measurement, :func:`choose` returns the fastest configuration by a simple model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from netspec.kernels import measured
from netspec.kernels.conv import (
    implicit,
    narrow,
    packed,
    persistent,
    pointwise,
    split,
    tiled,
    tiles,
)
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.conv.tiles import ProductTile
from netspec.kernels.launch import Launch

KERNELS: dict[str, ModuleType] = {
    "implicit": implicit,
    "packed": packed,
    "split": split,
    "pointwise": pointwise,
    "persistent": persistent,
    "tiled": tiled,
    "narrow": narrow,
}
"""The modules of the forward kernels by name; each has a function ``launches``."""

BY_DESCRIPTOR = ("persistent", "tiled", "narrow")
"""The kernels that move their operands by tensor descriptors; only a measurement chooses them.
Each module has a function ``fits``."""


@dataclass(frozen=True)
class Configuration:
    """A kernel, by its name in :data:`KERNELS`, and its tile."""

    kernel: str
    tile: ProductTile

    @property
    def name(self) -> str:
        """Kernel, tile, splits, warps and stages: ``split-64x64x32/4-4w3s``."""
        tile = self.tile
        splits = f"/{tile.splits}" if tile.splits > 1 else ""
        size = f"{tile.rows}x{tile.columns}x{tile.depth}"
        return f"{self.kernel}-{size}{splits}-{tile.warps}w{tile.stages}s"

    def fits(self, x: Tensor, w: Tensor, y: Tensor) -> bool:
        """Return True if the kernel can run with the layout of these operands."""
        return self.kernel not in BY_DESCRIPTOR or bool(KERNELS[self.kernel].fits(x, w, y))


def candidates(
    geometry: Geometry, dtype: torch.dtype, precision: str, *, has_descriptors: bool = False
) -> list[Configuration]:
    """Return all configurations that are worth measuring.

    Args:
        geometry: sizes of the convolution.
        dtype: type of the operands.
        precision: precision of float32 products.
        has_descriptors: True if the device has tensor descriptors.  Their kernels need pixels
            whose size in bytes 16 divides, and tensors that begin at such addresses.
    """
    kind = tiles.arithmetic(dtype, precision)
    writes = has_descriptors and _is_whole(geometry.count, dtype)
    moves = writes and _is_whole(geometry.channels, dtype)
    if geometry.is_pointwise and geometry.groups == 1:
        kernels = {"pointwise": pointwise.TILES[kind]}
        if moves:
            kernels["persistent"] = persistent.TILES[kind]
    else:
        kernels = {"implicit": implicit.TILES[kind]}
        if moves:
            kernels["tiled"] = tuple(tiled.candidates(geometry, kind))
        if writes:
            kernels["narrow"] = tuple(narrow.candidates(geometry, kind))
    kernels["split"] = tuple(split.candidates(implicit.product(geometry), kind))
    if packed.fits(geometry):
        kernels["packed"] = packed.TILES[kind]
    return [Configuration(kernel, tile) for kernel, known in kernels.items() for tile in known]


def _is_whole(channels: int, dtype: torch.dtype) -> bool:
    return channels * dtype.itemsize % persistent.ALIGNMENT == 0


def described(geometry: Geometry, dtype: torch.dtype, precision: str) -> str:
    """Return a convolution in one line, as the key of its measurement."""
    return f"{geometry} in {dtype}, {precision}"


def fastest(geometry: Geometry, dtype: torch.dtype, precision: str) -> Configuration:
    """Return the fastest configuration: by measurement, or without one by the model.

    It may not fit the layout of operands.
    """
    return found(geometry, dtype, precision) or choose(geometry, dtype, precision)


def found(geometry: Geometry, dtype: torch.dtype, precision: str) -> Configuration | None:
    """Return the configuration that a measurement found fastest, or None."""
    return measured.fastest(
        described(geometry, dtype, precision),
        lambda: candidates(geometry, dtype, precision, has_descriptors=True),
    )


def choose(geometry: Geometry, dtype: torch.dtype, precision: str) -> Configuration:
    """Return the fastest configuration by the model.

    For a first layer, only the kernel ``packed``, which is made for few channels, is considered.
    """
    configurations = candidates(geometry, dtype, precision)
    product = implicit.product(geometry)
    if packed.fits(geometry):
        configurations = [c for c in configurations if c.kernel == "packed"]
        product = packed.product(geometry)
    return min(configurations, key=lambda c: tiles.estimate(product, c.tile))


def forward_launches(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    geometry: Geometry,
    *,
    relu: bool,
    precision: str = "ieee",
    configuration: Configuration | None = None,
) -> list[Launch]:
    """Return the launches of one forward convolution.

    The operands are those of ``conv2d_out`` in ``operators/forward.py``.  If ``configuration`` is
    None, the fastest is used; if it does not fit the operands, one that :func:`choose` returns.
    """
    configuration = configuration or fastest(geometry, x.dtype, precision)
    if not configuration.fits(x, w, y):
        configuration = choose(geometry, x.dtype, precision)
    launches: Callable[..., list[Launch]] = KERNELS[configuration.kernel].launches
    return launches(x, w, b, y, geometry, relu=relu, precision=precision, tile=configuration.tile)

"""What there is to compute a convolution with: the kernels, and each with its tiles.

Several kernels compute the same forward product.  Which is fastest is for a measurement on the GPU
at hand to say: :func:`candidates` lists what there is to measure.  Without a measurement,
:func:`choose` takes what a simple model finds fastest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from netspec.kernels.conv import implicit, packed, persistent, pointwise, split, tiles
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.conv.tiles import ProductTile
from netspec.kernels.launch import Launch

KERNELS: dict[str, ModuleType] = {
    "implicit": implicit,
    "packed": packed,
    "split": split,
    "pointwise": pointwise,
    "persistent": persistent,
}
"""The forward kernels by the names of their files; each has ``launches``."""


@dataclass(frozen=True)
class Configuration:
    """What computes a convolution: a kernel, by its name in :data:`KERNELS`, and its tile."""

    kernel: str
    tile: ProductTile


def candidates(
    geometry: Geometry, dtype: torch.dtype, precision: str, *, has_descriptors: bool = False
) -> list[Configuration]:
    """Return every configuration worth measuring.

    ``has_descriptors`` says that :func:`netspec.kernels.conv.persistent.fits` holds, which depends
    on where the operands lie and not on their sizes alone.
    """
    kind = tiles.arithmetic(dtype, precision)
    if geometry.is_pointwise and geometry.groups == 1:
        kernels = {"pointwise": pointwise.TILES[kind]}
        if has_descriptors:
            kernels["persistent"] = persistent.TILES[kind]
    else:
        kernels = {"implicit": implicit.TILES[kind]}
    kernels["split"] = tuple(split.candidates(implicit.product(geometry), kind))
    if packed.fits(geometry):
        kernels["packed"] = packed.TILES[kind]
    return [Configuration(kernel, tile) for kernel, known in kernels.items() for tile in known]


def choose(geometry: Geometry, dtype: torch.dtype, precision: str) -> Configuration:
    """Return what the model finds fastest; for a first layer, of the kernel made for it."""
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
    """Return the launches of one forward convolution; None is the configuration of :func:`choose`.

    Operands are those of ``conv2d_out`` in ``operators/forward.py``.
    """
    configuration = configuration or choose(geometry, x.dtype, precision)
    launches: Callable[..., list[Launch]] = KERNELS[configuration.kernel].launches
    return launches(x, w, b, y, geometry, relu=relu, precision=precision, tile=configuration.tile)

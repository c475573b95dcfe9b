"""Compile every shipped configuration ahead of time, and report its resources and instructions.

    python -m netspec.kernels.shipped [FAMILY ...]

prints one line with a JSON object for each launch, type and target.  It needs no GPU.
docs/kernels.md and the ahead-of-time tests use its output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

from netspec.kernels import ahead, sums
from netspec.kernels.conv import (
    implicit,
    input_gradient,
    narrow,
    packed,
    persistent,
    pointwise,
    split,
    tiled,
    weight_gradient,
)
from netspec.kernels.fc import forward as fc
from netspec.kernels.launch import Launch
from netspec.kernels.lrn import backward, forward, pooled
from netspec.kernels.pool import (
    average_gradients,
    averages,
    max_gradients,
    maxima,
    means,
    subsample,
)

FAMILIES: dict[str, tuple[ModuleType, ...]] = {
    "implicit": (implicit,),
    "packed": (packed,),
    "split": (split,),
    "pointwise": (pointwise,),
    "persistent": (persistent,),
    "tiled": (tiled,),
    "narrow": (narrow,),
    "input_gradient": (input_gradient,),
    "weight_gradient": (weight_gradient,),
    "fc": (fc,),
    "sums": (sums,),
    "lrn": (forward, backward),
    "lrn_maxpool": (pooled,),
    "maxpool": (maxima, max_gradients),
    "avgpool": (averages, average_gradients, means),
    "subsample": (subsample,),
}
"""The families and their modules with kernels; each module has a function ``shipped``."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
CAPABILITIES = (80, 90)
ONLY_ON = {"persistent": (90,), "tiled": (90,), "narrow": (90,)}
"""Families that support only some of the targets."""

PRODUCTS = ("HGMMA", "HMMA", "FFMA")
LOADS, STORES = ("LDG", "LDGSTS", "UTMALDG"), ("STG", "UTMASTG")
"""Opcodes that read and write global memory; UTMALDG and UTMASTG move whole tiles."""


def launches(family: str, dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the label of each launch of a family, and the launch."""
    for module in FAMILIES[family]:
        yield from module.shipped(dtype)


def rows(family: str) -> Iterator[dict[str, Any]]:
    """Yield one row for each launch of a family, type and target."""
    for dtype in DTYPES:
        for label, launch in launches(family, dtype):
            for capability in ONLY_ON.get(family, CAPABILITIES):
                yield row(family, dtype, label, launch, capability)


def row(
    family: str, dtype: torch.dtype, label: str, launch: Launch, capability: int
) -> dict[str, Any]:
    """Return the resources and instructions of a launch, compiled for a target."""
    used = ahead.resources(ahead.compile(launch, capability))
    return {
        "family": family,
        "label": label,
        "dtype": str(dtype).removeprefix("torch."),
        "capability": capability,
        "precision": launch.arguments.get("PRECISION"),
        "tile_rows": launch.arguments.get("ROWS"),
        "warps": used.warps,
        "registers": used.registers,
        "stack": used.stack,
        "local": used.local,
        "shared": used.shared,
        "occupancy": used.occupancy,
        "products": {opcode: used.count(opcode) for opcode in PRODUCTS},
        "loads": _widths(used, LOADS),
        "stores": _widths(used, STORES),
    }


def _widths(used: ahead.Resources, opcodes: tuple[str, ...]) -> list[int]:
    """Return the number of accesses of 16 bytes or of tiles, and the number of all accesses."""
    total = sum(used.count(opcode) for opcode in opcodes)
    wide = sum(used.count(o) if o.startswith("UTMA") else used.count(o, "128") for o in opcodes)
    return [wide, total]


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        for one in rows(name):
            print(json.dumps(one), flush=True)

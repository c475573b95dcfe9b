"""Every configuration that is shipped, compiled ahead: what it takes, and what it is made of.

    python -m netspec.kernels.shipped [FAMILY ...]

prints one JSON object a line, for each launch, type and target.  It needs no GPU, and is what
docs/kernels.md and the ahead-of-time tests read.
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
    packed,
    persistent,
    pointwise,
    split,
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
"""The families, and their files with kernels; each file has ``shipped``."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
CAPABILITIES = (80, 90)
ONLY_ON = {"persistent": (90,)}
"""Families that are made for one of the targets."""

PRODUCTS = ("HGMMA", "HMMA", "FFMA")
LOADS, STORES = ("LDG", "LDGSTS", "UTMALDG"), ("STG", "UTMASTG")
"""Opcodes that read and write global memory; those of the tensor memory accelerator move tiles."""


def launches(family: str, dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Every launch of a family, and what it is called."""
    for module in FAMILIES[family]:
        yield from module.shipped(dtype)


def rows(family: str) -> Iterator[dict[str, Any]]:
    """One row for each launch of a family, type and target."""
    for dtype in DTYPES:
        for label, launch in launches(family, dtype):
            for capability in ONLY_ON.get(family, CAPABILITIES):
                yield row(family, dtype, label, launch, capability)


def row(
    family: str, dtype: torch.dtype, label: str, launch: Launch, capability: int
) -> dict[str, Any]:
    """What a launch takes and is made of, when it is compiled for a target."""
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
    """How many of the accesses move 16 bytes or a tile at a time, and how many there are."""
    total = sum(used.count(opcode) for opcode in opcodes)
    wide = sum(used.count(o) if o.startswith("UTMA") else used.count(o, "128") for o in opcodes)
    return [wide, total]


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        for one in rows(name):
            print(json.dumps(one), flush=True)

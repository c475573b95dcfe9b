"""The nets that are checked and timed on a GPU, and how far outputs are from float64."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from netspec.timing.agreement import deviation, exact
from netspec.timing.case import Case

PREPARED = Path(__file__).parents[2] / "prepared.json"
"""In a bundle, the scales of the weights of each net, which take seconds to compute."""

COMPARED = 2
"""The number of images whose outputs are compared: in float64, more would take too long."""


def case_of(net: str, batch: int, folder: Path, dtype: str = "bfloat16") -> Case:
    """Return the case of a net on the GPU, with prepared scales if there are any."""
    case = Case(net, {}, batch, dtype, folder, "cuda")
    if PREPARED.exists():
        vars(case)["scales"] = json.loads(PREPARED.read_text(encoding="utf-8"))["scales"][net]
    return case


def off(case: Case, outputs: Sequence[Any]) -> dict[str, float]:
    """Return the deviation of the outputs of the first images from float64, and the allowed one."""
    count = min(COMPARED, case.batch)
    few = replace(case, batch=count)
    vars(few).update(net=case.net, scales=case.scales)
    vars(few)["images"] = [image[:count] for image in case.images]
    # Without it cuDNN would time its algorithms for float64, which nobody uses afterwards.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, fp32_precision=None):
        found = deviation(few, [y[:count] for y in outputs], exact(few))
    return {"deviation": found.error, "allowed": found.allowed}

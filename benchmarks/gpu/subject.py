"""The nets that are checked and timed on a GPU, and how far outputs are from float64."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.ir.parameter_names import parameter_names
from netspec.timing.agreement import deviation, exact, incomparable
from netspec.timing.case import SEED, Case

PREPARED = Path(__file__).parents[2] / "prepared.json"
"""In a bundle, the scales of the weights of each net, which take seconds to compute."""

COMPARED = 2
"""The number of images whose outputs are compared: in float64, more would take too long."""


class DrawnThere(Case):
    """A case whose images and weights are drawn on its device: a CPU takes seconds for them.

    All engines of a case draw the same numbers.  The scales are those of other weights of the same
    distribution, which changes the size of activations by a few percent.
    """

    @cached_property
    def images(self) -> list[Tensor]:
        graph, generator = self.net.graph, self._generator()
        shapes = [graph.stage(name).known_shape.torch for name in graph.inputs]
        how: dict[str, Any] = {"generator": generator, "device": self.torch_device}
        return [torch.rand(self.batch, *shape, **how).to(self.type) for shape in shapes]

    def weights(self) -> dict[str, Tensor]:
        generator, weights = self._generator(), {}
        for name, parameter, _ in parameter_names(self.net.graph):
            values = torch.full(parameter.shape, parameter.value, device=self.torch_device)
            if parameter.fan_in is not None:
                values.normal_(0, sqrt(2 / parameter.fan_in), generator=generator)
                values *= self.scales.get(name, 1.0)
            weights[name] = values.to(self.type)
        return weights

    def _generator(self) -> torch.Generator:
        return torch.Generator(self.torch_device).manual_seed(SEED)


def case_of(net: str, batch: int, folder: Path, dtype: str = "bfloat16") -> Case:
    """Return the case of a net on the GPU, with prepared scales if there are any."""
    case = DrawnThere(net, {}, batch, dtype, folder, "cuda")
    if PREPARED.exists():
        vars(case)["scales"] = json.loads(PREPARED.read_text(encoding="utf-8"))["scales"][net]
    return case


def without_measurements(folder: Path) -> None:
    """Let this process plan as if nothing had been measured on this GPU.

    Stages store what they measure, and a stage that is tried again may run after them.
    """
    os.environ["XDG_CACHE_HOME"] = str(folder)


def off(case: Case, outputs: Sequence[Any]) -> dict[str, Any]:
    """Return the deviation of the outputs of the first images from float64, and the allowed one.

    If no comparison could find an error, ``incomparable`` says why.
    """
    count = min(COMPARED, case.batch)
    few = replace(case, batch=count)
    vars(few).update(net=case.net, scales=case.scales)
    vars(few)["images"] = [image[:count] for image in case.images]
    # Without the flag cuDNN would time its algorithms for float64, which nobody uses afterwards.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, fp32_precision=None):
        expected = exact(few)
    found = deviation(few, [y[:count] for y in outputs], expected)
    figures: dict[str, Any] = {"deviation": found.error, "allowed": found.allowed}
    why = incomparable(few, expected)
    return figures | ({} if why is None else {"incomparable": why})

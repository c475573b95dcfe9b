"""Verify that a model computes what its spec says by comparing its outputs with float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor

from netspec.errors import require_type
from netspec.ir.logits import before_softmax
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.runtime.reference import Model


def random_images(net: Net, *, batch: int = 1, seed: int = 0) -> list[Tensor]:
    """Return images of the right size, uniform in [0, 1), for each input of the net; float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [net.graph.stage(name).known_shape.torch for name in net.graph.inputs]
    options: Any = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    return [torch.rand(batch, *shape, **options) for shape in shapes]


@dataclass(frozen=True)
class Verification:
    """Relative L2 error of the outputs of a model against float64, and its tolerance."""

    error: float
    allowed: float

    def __str__(self) -> str:
        return f"relative error {self.error:.1e} against float64, {self.allowed:.1e} allowed"

    @property
    def passed(self) -> bool:
        """True if the error is at most the tolerance."""
        return self.error <= self.allowed


def verify(
    model: Model | Compiled, images: Tensor | Sequence[Tensor] | None = None
) -> Verification:
    """Compare a model with its float64 twin, before a final softmax.

    A softmax turns relative errors of its input into ones that depend on how large the input is,
    so its input is compared; that the softmax's output is the model's is checked to the bit.

    Args:
        model: a compiled net, or a reference.
        images: a batch for each input, in any type; one tensor for a net of one input; by default
            those of :func:`random_images`.

    Raises:
        TypeError: an argument has another type.
    """
    require_type("model", model, (Model, Compiled), "what netspec.compile or reference returns")
    net = model.net
    if images is None:
        images = random_images(net)
    images = [images] if isinstance(images, Tensor) else images
    require_type("images", images, (list, tuple), "a tensor, or a list of tensors")
    for image in images:
        require_type("images", image, Tensor, "a tensor, or a list of tensors")
    graph = net.graph
    compared = [before_softmax(graph, name) for name in graph.outputs]
    # As STAGE.op, because a row may be called like a stage of its pipe that is not its last.
    ends = [f"{name}.{graph.stage(name).op.name}" for name in compared]
    tensors = model.state_dict()
    if isinstance(model, Compiled):
        device, dtype = model.device, model.lowered.dtype
    else:
        first = next(iter(tensors.values()), images[0])
        device, dtype = first.device, first.dtype
    exact = Model(net, {name: tensor.double() for name, tensor in tensors.items()})
    with torch.inference_mode():
        inputs = [image.to(device, dtype) for image in images]
        outputs = as_tuple(model(*inputs))
        inside = as_tuple(model.features(*ends, *graph.outputs)(*inputs))
        expected = as_tuple(exact.features(*ends)(*(i.to(device, torch.float64) for i in images)))
    ours, again = inside[: len(ends)], inside[len(ends) :]
    is_same = all(torch.equal(y, z) for y, z in zip(outputs, again, strict=True))
    errors = [_relative_error(y.double(), z) for y, z in zip(ours, expected, strict=True)]
    worst = float(torch.tensor(errors).max())  # which is NaN where one is
    return Verification(worst if is_same else float("inf"), tolerance(net, dtype))


def _relative_error(y: Tensor, exact: Tensor) -> float:
    return float((y - exact).norm() / exact.norm().clamp_min(torch.finfo(torch.float64).tiny))


def tolerance(net: Net, dtype: torch.dtype) -> float:
    """Return the relative L2 error that rounding may cause in a net's output.

    A sum of K terms with unit roundoff u carries a relative error of about sqrt(K) u, because its
    K roundings are independent (Higham and Mary 2019, probabilistic error analysis); so are those
    of successive stages, and their squares add.  Sums are accumulated in float32 at least, then
    each stage rounds its result to ``dtype``:

        error <= 2 u_acc sqrt(sum of K over the stages) + 2 u_out sqrt(number of stages)

    with K at least 1, and the 2 for unlucky draws.
    """
    graph = net.graph
    terms = stages = 0
    for stage in graph.stages():
        if stage.head:
            continue
        inputs = graph.shapes_into(stage.name)
        stages += 1
        terms += max(1, prod(stage.op.macs(inputs)) // stage.known_shape.elements)
    rounding = torch.finfo(dtype).eps / 2
    accumulating = min(rounding, torch.finfo(torch.float32).eps / 2)
    return 2 * accumulating * sqrt(terms) + 2 * rounding * sqrt(stages)


def as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the outputs of a model, one or several, as a tuple."""
    return outputs if isinstance(outputs, tuple) else (outputs,)

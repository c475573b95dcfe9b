"""Comparison of an engine's outputs with those of the net in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from netspec.bench.case import Case
from netspec.ir.ops.softmax import Softmax
from netspec.runtime.verification import as_tuple, tolerance


@dataclass(frozen=True)
class Exact:
    """An output of the net in float64.

    Attributes:
        values: the output, [N, C] or [N, C, H, W].
        scores: the input of its final softmax, [N, C]; None if it does not end in one.
    """

    values: Tensor
    scores: Tensor | None


@dataclass(frozen=True)
class Deviation:
    """Relative L2 error of the worst image, and the error that rounding explains."""

    error: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return self.error <= self.allowed  # and a NaN does not


def exact(case: Case) -> list[Exact]:
    """Return the outputs in float64, from weights and images as rounded to the type of the case."""
    graph = case.net.graph
    ends = []
    for name in graph.outputs:
        is_softmax = isinstance(graph.stage(name).op, Softmax)
        ends.append(graph.operands(name)[0] if is_softmax else name)
    stages = [*graph.outputs, *ends]
    # `out` is the row, so that its stages are asked for with their operators: `out.fc`
    labels = [f"{name}.{graph.stage(name).op.name}" for name in stages]
    model = case.reference(torch.float64)
    with torch.inference_mode():
        outputs = as_tuple(model.features(*labels)(*(image.double() for image in case.images)))
    count = len(graph.outputs)
    return [
        Exact(values, scores if end != name else None)
        for values, scores, end, name in zip(
            outputs[:count], outputs[count:], ends, graph.outputs, strict=True
        )
    ]


def deviation(case: Case, outputs: Any, expected: Sequence[Exact]) -> Deviation:
    """Return the error of an engine's outputs, and the allowed error.

    Without a softmax: |y - exact| / |exact|, and ``tolerance`` of the net.

    A softmax turns relative errors into ones that depend on the size of its input z, and engines
    give only what comes out of it, y.  So it is undone: log y is z less a constant of the image,
    and taking off the mean over the classes takes off that constant.  What is compared is the mean-
    free log y with the mean-free z, relative to |z|.  Taking off a mean enlarges no error, hence
    the error of z remains, ``tolerance``; and each of C values of y carries a rounding to the type
    and some 4 units in the last place of exponential and quotient in float32, which are absolute
    errors of its logarithm:

        allowed = tolerance + sqrt(C) (eps / 2 + 4 eps_float32) / |z|

    Classes that the type cannot hold (y below its smallest normal number) are left out.

    Raises:
        ValueError: the engine returned outputs of another size.
    """
    values = [torch.as_tensor(y).double() for y in _several(outputs)]
    sizes = [list(y.shape) for y in values]
    if sizes != (right := [list(w.values.shape) for w in expected]):
        raise ValueError(f"returns {sizes}, not {right}")
    allowed = tolerance(case.net, case.type)
    deviations = [
        Deviation(*_of_image(y[i], w, i, case.type, allowed))
        for y, w in zip(values, expected, strict=True)
        for i in range(case.batch)
    ]
    return max(deviations, key=lambda d: (d.error != d.error, d.error / d.allowed))


def _several(outputs: Any) -> Sequence[Any]:
    return outputs if isinstance(outputs, (tuple, list)) else [outputs]


def _of_image(
    y: Tensor, expected: Exact, i: int, dtype: torch.dtype, allowed: float
) -> tuple[float, float]:
    """Return the error and the allowed error of one image."""
    if expected.scores is None:
        return _relative(y - expected.values[i], expected.values[i]), allowed
    kind = torch.finfo(dtype)
    is_normal = expected.values[i] >= 2 * kind.tiny
    z = expected.scores[i][is_normal]
    logarithm = y[is_normal].log()
    error = (logarithm - logarithm.mean()) - (z - z.mean())
    roundings = kind.eps / 2 + 4 * torch.finfo(torch.float32).eps
    return _relative(error, z), allowed + roundings * len(z) ** 0.5 / _norm(z)


def _relative(error: Tensor, exact: Tensor) -> float:
    return float(error.norm()) / _norm(exact)


def _norm(x: Tensor) -> float:
    return max(float(x.norm()), torch.finfo(torch.float64).tiny)

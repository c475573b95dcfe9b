"""Comparison of an engine's outputs with those of the net in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from netspec.ir.ops.softmax import Softmax
from netspec.runtime.verification import as_tuple, tolerance
from netspec.timing.case import Case

APART = 2
"""How many times the allowed error uniform outputs have to be off, for a comparison to count."""


@dataclass(frozen=True)
class Exact:
    """An output of the net in float64.

    Attributes:
        values: the output, [N, C] or [N, C, H, W].
        scores: the input of its final softmax, of the same size; None if it does not end in one.
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
    give only what comes out of it, y.  So it is undone: log y is z less a constant of the image
    (of the pixel, where it is a map), and taking off the mean over the classes takes off that
    constant.  What is compared is the mean-free log y with the mean-free z, relative to |z|.
    Taking off a mean enlarges no error, hence the error of z remains, ``tolerance``; and each of
    n values of y carries a rounding to the type and some 4 units in the last place of exponential
    and quotient in float32, which are absolute errors of its logarithm:

        allowed = tolerance + sqrt(n) (eps / 2 + 4 eps_float32) / |z|

    The constant is that of a sum of 1, which is checked by itself: it is off by the same roundings,
    and by those of the sum of C exponentials, sqrt(C) eps_float32.  Its deviation is returned only
    where it is more than that.

    It means something only where :func:`incomparable` has nothing to say.

    Raises:
        ValueError: the engine returned outputs of another size.
    """
    values = [torch.as_tensor(y).double() for y in _several(outputs)]
    sizes = [list(y.shape) for y in values]
    if sizes != (right := [list(w.values.shape) for w in expected]):
        raise ValueError(f"returns {sizes}, not {right}")
    allowed = tolerance(case.net, case.type)
    deviations = [
        off
        for y, w in zip(values, expected, strict=True)
        for i in range(case.batch)
        for off in _of_image(y[i], w, i, case.type, allowed)
    ]
    return max(deviations, key=lambda d: (d.error != d.error, d.error / d.allowed))


def _several(outputs: Any) -> Sequence[Any]:
    return outputs if isinstance(outputs, (tuple, list)) else [outputs]


def _of_image(
    y: Tensor, expected: Exact, i: int, dtype: torch.dtype, allowed: float
) -> Iterator[Deviation]:
    """Yield the deviations of one image."""
    if expected.scores is None:
        yield Deviation(_relative(y - expected.values[i], expected.values[i]), allowed)
        return
    z = expected.scores[i]
    error = _relative(_mean_free(y.log()) - _mean_free(z), z)
    yield Deviation(error, _allowed(z, dtype, allowed))
    summing = sqrt(len(z)) * torch.finfo(torch.float32).eps
    of_sum = Deviation(float((y.sum(dim=0) - 1).abs().max()), _roundings(dtype) + summing)
    if not of_sum.agrees:
        yield of_sum


def incomparable(case: Case, expected: Sequence[Exact]) -> str | None:
    """Return why a comparison would pass engines that do not compute the net; None if it does not.

    All classes have to be numbers of the type (at least twice its smallest normal one) after a
    softmax; and outputs that are the same for every class, their mean, have to be off by ``APART``
    times what is allowed, in each image.
    """
    allowed = tolerance(case.net, case.type)
    smallest = 2 * torch.finfo(case.type).tiny
    for output in expected:
        for i, values in enumerate(output.values):
            if output.scores is None:
                error = _relative(_mean_free(values) if len(values) > 1 else values, values)
                limit = allowed
            else:
                count = int((values >= smallest).sum())
                if count < values.numel():
                    classes = f"{count:,} of {values.numel():,} classes"
                    return f"not compared: softmax leaves {classes} that {case.dtype} can hold"
                z = output.scores[i]
                error, limit = _relative(_mean_free(z), z), _allowed(z, case.type, allowed)
            if not error >= APART * limit:  # nor if it is NaN
                off = f"uniform outputs would be off by {error:.1e}"
                return f"not compared: {off}, and {limit:.1e} is allowed"
    return None


def _allowed(z: Tensor, dtype: torch.dtype, allowed: float) -> float:
    """Return the allowed error of an image's mean-free log y, relative to |z|."""
    return allowed + _roundings(dtype) * sqrt(z.numel()) / _norm(z)


def _roundings(dtype: torch.dtype) -> float:
    """Return the relative error of a softmax's exponential, quotient and rounding to the type."""
    return torch.finfo(dtype).eps / 2 + 4 * torch.finfo(torch.float32).eps


def _mean_free(z: Tensor) -> Tensor:
    """Return an image's values [C] or [C, H, W] less their mean over the channels."""
    return z - z.mean(dim=0)


def _relative(error: Tensor, exact: Tensor) -> float:
    return float(error.norm()) / _norm(exact)


def _norm(x: Tensor) -> float:
    return max(float(x.norm()), torch.finfo(torch.float64).tiny)

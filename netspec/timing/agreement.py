"""Compare the outputs of an engine with those of the net in float64."""

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
"""A comparison is meaningful only if uniform outputs would have at least this many times the
allowed error."""


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
        return self.error <= self.allowed  # False for NaN


def exact(case: Case) -> list[Exact]:
    """Return the outputs in float64, from weights and images rounded to the type of the case."""
    graph = case.net.graph
    ends = []
    for name in graph.outputs:
        is_softmax = isinstance(graph.stage(name).op, Softmax)
        ends.append(graph.operands(name)[0] if is_softmax else name)
    stages = [*graph.outputs, *ends]
    # A row and its last stage have the same name, so each label includes the operator: `out.fc`.
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

    With a softmax: the softmax turns relative errors of its input z into errors that depend on the
    size of z, and engines return only its output y.  So the softmax is undone.  log y is z minus a
    constant per image (per pixel of a map); subtracting the mean over the classes from both removes
    the constant.  The error is that of the mean-free log y against the mean-free z, relative to
    |z|.  Subtracting a mean does not enlarge an error, so the error of z is at most ``tolerance``.
    In addition, each of n values of y has a rounding to the type, and about 4 units in the last
    place of the exponential and the quotient in float32.  These are absolute errors of log y:

        allowed = tolerance + sqrt(n) (eps / 2 + 4 eps_float32) / |z|

    The removed constant is determined by the sum of y, which must be 1 and is checked separately.
    It may be wrong by the same roundings and by that of a sum of C exponentials, sqrt(C)
    eps_float32.  Its deviation is returned only if it is larger.

    The result is meaningful only if :func:`incomparable` returns None.

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
    """Return the reason why a comparison could accept an engine that is wrong, or None.

    After a softmax, the value of each class must be at least twice the smallest normal number of
    the type.  In each image, outputs that are equal for all classes (their mean) must have at least
    ``APART`` times the allowed error.
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
            if not error >= APART * limit:  # also true if the error is NaN
                off = f"uniform outputs would be off by {error:.1e}"
                return f"not compared: {off}, and {limit:.1e} is allowed"
    return None


def _allowed(z: Tensor, dtype: torch.dtype, allowed: float) -> float:
    """Return the allowed error of an image's mean-free log y, relative to |z|."""
    return allowed + _roundings(dtype) * sqrt(z.numel()) / _norm(z)


def _roundings(dtype: torch.dtype) -> float:
    """Return the relative error of the exponential, the quotient and the rounding of a softmax."""
    return torch.finfo(dtype).eps / 2 + 4 * torch.finfo(torch.float32).eps


def _mean_free(z: Tensor) -> Tensor:
    """Return the values [C] or [C, H, W] of an image minus their mean over the channels."""
    return z - z.mean(dim=0)


def _relative(error: Tensor, exact: Tensor) -> float:
    return float(error.norm()) / _norm(exact)


def _norm(x: Tensor) -> float:
    return max(float(x.norm()), torch.finfo(torch.float64).tiny)

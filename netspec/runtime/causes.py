"""Find the reason for values that are not finite; called only if there are such values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.finite import first_not_finite, is_finite
from netspec.ir.graph import Graph
from netspec.ir.operator import Meaning, Operator, own_meaning
from netspec.runtime.compiled import Compiled
from netspec.runtime.operations import lower, needed


class NotFiniteError(DataError):
    """Outputs of a net are NaN or infinite.

    Attributes:
        image: the index in the batch of the first image with such outputs.
    """

    def __init__(self, message: str, image: int) -> None:
        super().__init__(message)
        self.image = image


def require_finite_outputs(model: Compiled, images: Tensor, outputs: Tensor) -> None:
    """Raise NotFiniteError, with the reason, if outputs of a net are not finite.

    Args:
        model: the net, in evaluation mode.
        images: a batch for its only input.
        outputs: its outputs for them.
    """
    if is_finite(outputs):
        return
    finite = outputs.flatten(1).isfinite().all(1)
    image = int((~finite).nonzero()[0])
    reason = cause(model, model.net.graph, [images[image : image + 1]])
    reason = reason or "when its rows are computed one by one, all of them are finite"
    raise NotFiniteError(f"the outputs of {model.net.name} are not finite: {reason}", image)


def cause(
    model: Compiled,
    graph: Graph,
    images: Sequence[Tensor],
    *,
    training: bool = False,
    meaning: Callable[[Operator, bool], Meaning] = own_meaning,
) -> str:
    """Return why values of a net are not finite: its weights, its images, or the first row that
    overflows; an empty string if all are finite.

    Args:
        model: the net; afterwards it also has its parameters unpacked.
        graph: the graph to compute with these parameters.
        images: a batch for each input.
        training: compute dropout and heads too.
        meaning: returns the function that computes an operator.
    """
    problem = first_not_finite(model.state_dict())
    if problem:
        return f"its weights are not finite: {problem}"
    problem = first_not_finite(dict(zip(graph.inputs, images, strict=True)))
    if problem:
        return f"its input is not finite: {problem}"
    ends = [*graph.outputs, *(h.output for h in graph.heads.values() if training)]
    reached = needed(graph, ends)
    names = [stage.name for stage in graph.stages() if stage.name in reached]
    recorded = lower(graph, training=training, outputs=names, meaning=meaning)
    with torch.no_grad():
        answer = model.record(recorded)(*images)
    values = answer[0] if training and graph.heads else answer
    by_name = dict(zip(names, values if isinstance(values, tuple) else (values,), strict=True))
    for name, y in by_name.items():
        if not is_finite(y):
            x = max((_largest(by_name[operand]) for operand in graph.operands(name)), default=0.0)
            dtype = str(y.dtype).removeprefix("torch.")
            return (
                f"{name} is the first row with values outside the range of {dtype}; its largest "
                f"input is {x:.3g}"
            )
    return ""


def _largest(x: Tensor) -> float:
    return float(x.abs().max()) if x.numel() else 0.0

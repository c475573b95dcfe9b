"""The deconvnet: activations of a row projected back to pixels (Zeiler, Fergus 2013, section 2.1).

The net is run forward, all activations of a row but one are set to 0, and this signal is carried
back through the stages to the image.  Each operator has one of these rules for the signal:

==========  =======================================================================================
LINEAR      The transposed map: transposed filters of convolutions (with their groups and connection
            tables) and fully connected layers, the spread of a mean over its window, the split of a
            concatenation, the signal to each operand of an addition, the factors of dropout with
            ``scale=test`` and of batch normalisation, which is a linear map at inference:
            weight / sqrt(variance + eps).  Biases are ignored.
SWITCHED    Unpooling: the signal goes to the position of the maximum that the forward run stored,
            the first one of equal maxima.  Signals of overlapping windows are added.
RECTIFIED   The signal is rectified: max(0, signal).  These operators have results that are never
            negative, and neither are those of their reconstruction.
PASSED      The signal is not changed.  Normalisations are ignored, as in the paper; so are
            activation functions with results of both signs, which leave nothing to rectify.
==========  =======================================================================================

LINEAR and SWITCHED are the vector-Jacobian products of the operators, so they are computed by
PyTorch's automatic differentiation.  Only RECTIFIED and PASSED differ from the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.ir.graph import Graph, Input
from netspec.ir.operator import Operator
from netspec.ir.ops.adaptive_avgpool import AdaptiveAveragePool
from netspec.ir.ops.add import Add
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.deconv import Deconv
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.gain import Gain
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.gmp import GlobalMaxPool
from netspec.ir.ops.gn import GroupNorm
from netspec.ir.ops.hardsigmoid import HardSigmoid
from netspec.ir.ops.identity import Identity
from netspec.ir.ops.lcn import LocalContrastNorm
from netspec.ir.ops.ln import LayerNorm
from netspec.ir.ops.local import Local
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.lrn_within import LocalResponseNormWithin
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.part import Part
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.ops.scale import Scale
from netspec.ir.ops.shuffle import Shuffle
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.ops.softmax import Softmax
from netspec.ir.ops.subsample import Subsample
from netspec.ir.ops.tanh import Tanh
from netspec.ir.ops.upsample import Upsample
from netspec.ir.parameter_names import attribute
from netspec.runtime.operations import needed
from netspec.runtime.reference import Model, require_unchanged


class Rule(Enum):
    """What an operator does to a signal that is carried back; see the text of the module."""

    LINEAR = "linear"
    SWITCHED = "switched"
    RECTIFIED = "rectified"
    PASSED = "passed"


RULES: dict[type[Operator], Rule] = {
    **dict.fromkeys(
        (
            AdaptiveAveragePool, Add, AvgPool, BatchNorm, Concat, Conv, Deconv, Dropout, Flatten,
            FullyConnected, Gain, GlobalAveragePool, Identity, Local, Part, Scale, Shuffle,
            Subsample, Upsample,
        ),
        Rule.LINEAR,
    ),
    **dict.fromkeys((MaxPool, GlobalMaxPool), Rule.SWITCHED),
    **dict.fromkeys((Relu, Relu6, Sigmoid, HardSigmoid), Rule.RECTIFIED),
    **dict.fromkeys(
        (
            LocalResponseNorm, LocalResponseNormWithin, LocalContrastNorm, GroupNorm, LayerNorm,
            Softmax, Tanh,
        ),
        Rule.PASSED,
    ),
}  # fmt: skip
"""The rules of operators.  Others, such as ``mul`` and ``rbf``, are not linear and do not have
switches, so that nothing says how to carry a signal back through them."""


def rule_of(op: Operator) -> Rule | None:
    """Return the rule of an operator; None if it does not have one."""
    if type(op) is Clip:
        return Rule.RECTIFIED if op.low >= 0 else Rule.PASSED
    return RULES.get(type(op))


@dataclass(frozen=True)
class Projected:
    """Activations, one per image, and their projections.

    Attributes:
        maps: the number of the map, or of the unit of a vector, for each image, [N] int64.
        positions: the row and column of the activation in the map, [N, 2] int64; 0, 0 for a vector.
        activations: the values, [N].
        pixels: their projections in the values of the net's input, [N, C, H, W].
    """

    maps: Tensor
    positions: Tensor
    activations: Tensor
    pixels: Tensor


def deconvnet(
    model: Model,
    images: Tensor,
    row: str,
    maps: int | Sequence[int] | None = None,
    positions: Sequence[tuple[int, int]] | None = None,
) -> Projected:
    """Return an activation of a row for each image, projected back to pixels.

    The signal that is carried back is the activation itself; all others of the row are set to 0.

    Args:
        model: the net; it runs in its type, at inference.
        images: [N, C, H, W].
        row: a row or stage, as in ``model.features(row)``.
        maps: the map for each image, or one for all, counted from 0; by default the map with the
            largest activation.
        positions: the row and column in the map for each image; by default those of the largest
            activation of the map, the first one of equal ones.

    Raises:
        LabelError: the net does not have the row.
        ValueError: the row does not have such a map or position.
        DataError: the net has several inputs, or an operator between the image and the row does not
            have a rule; or activations are not finite.
    """
    graph = model.net.graph
    end = graph.find(row)
    require_rules(graph, end, model.net.name)
    require_unchanged(model, "a projection")
    dtype = next((p.dtype for p in model.parameters()), images.dtype)
    image = images.detach().to(dtype).requires_grad_()
    with torch.enable_grad():
        values = _forward(graph, dict(model.state_dict()), image, end)
        flat = values.flatten(2) if values.ndim == 4 else values.unsqueeze(2)
        width = values.shape[3] if values.ndim == 4 else 1
        if not bool(flat.isfinite().all()):
            raise DataError(f"the activations of {row} of {model.net.name} are not finite")
        chosen, place = _chosen(flat.detach(), width, row, maps, positions)
        number = torch.arange(len(flat))
        picked = flat[number, chosen, place]
        (pixels,) = torch.autograd.grad(picked, image, picked.detach(), allow_unused=True)
    return Projected(
        maps=chosen,
        positions=torch.stack([place // width, place % width], 1),
        activations=picked.detach(),
        pixels=torch.zeros_like(image).detach() if pixels is None else pixels,
    )


def require_rules(graph: Graph, end: str, name: str) -> None:
    """Raise DataError unless a signal can be carried back from a stage to the image.

    Args:
        graph: of a net.
        end: the stage.
        name: of the net, for the message.
    """
    if len(graph.inputs) != 1 or not graph.stage(graph.inputs[0]).known_shape.is_map:
        raise DataError(f"{name} does not have one image as its input, so nothing can be projected")
    reached = needed(graph, [end])
    for stage in graph.stages():
        is_computed = stage.name in reached and not isinstance(stage.op, Input)
        if is_computed and rule_of(stage.op) is None:
            raise DataError(
                f"{end} of {name} cannot be projected to pixels: {stage.name} is `{stage.op.name}`,"
                " and a deconvnet does not have a rule for it; choose a row before it"
            )


def _chosen(
    flat: Tensor,
    width: int,
    row: str,
    maps: int | Sequence[int] | None,
    positions: Sequence[tuple[int, int]] | None,
) -> tuple[Tensor, Tensor]:
    """Return the map and the place in it, row * width + column, for each image: [N], [N].

    Args:
        flat: the activations, [N, maps, places].
        width: of a map.
        row, maps, positions: as in :func:`deconvnet`.
    """
    images, count, places = flat.shape
    if maps is None:
        chosen = flat.amax(2).argmax(1)
    else:
        numbers = [maps] * images if isinstance(maps, int) else list(maps)
        wrong = [number for number in numbers if not 0 <= number < count]
        if wrong:
            raise ValueError(f"{row} has the maps 0 to {count - 1:,}, and no map {wrong[0]:,}")
        if len(numbers) != images:
            raise ValueError(f"there are {images:,} images and {len(numbers):,} maps")
        chosen = torch.tensor(numbers)
    if positions is None:
        return chosen, flat[torch.arange(images), chosen].argmax(1)
    height = places // width
    for down, right in positions:
        if not (0 <= down < height and 0 <= right < width):
            raise ValueError(f"a map of {row} is {height} x {width}: ({down}, {right}) is outside")
    if len(positions) != images:
        raise ValueError(f"there are {images:,} images and {len(positions):,} positions")
    return chosen, torch.tensor([down * width + right for down, right in positions])


def _forward(graph: Graph, tensors: dict[str, Tensor], image: Tensor, end: str) -> Tensor:
    """Return the value of a stage, whose backward pass carries a signal by the rules."""
    reached = needed(graph, [end])
    values = {graph.inputs[0]: image}
    for stage in graph.stages():
        if stage.name not in reached or stage.name in values:
            continue
        op, shapes = stage.op, graph.shapes_into(stage.name)
        parameters = {
            name: tensors[attribute(stage.name, name)].detach()
            for name in (*op.parameters(shapes), *op.buffers(shapes))
        }
        operands = [values[name] for name in graph.operands(stage.name)]
        values[stage.name] = _RUN[rule_of(op)](op, shapes, operands, parameters)
    return values[end]


def _differentiated(
    op: Operator, shapes: Any, operands: Sequence[Tensor], parameters: dict[str, Tensor]
) -> Tensor:
    return op.reference(shapes, *operands, **parameters)


def _replaced(carry: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return a function that runs an operator, and carries the signal back by ``carry`` instead."""

    def run(
        op: Operator, shapes: Any, operands: Sequence[Tensor], parameters: dict[str, Tensor]
    ) -> Tensor:
        (x,) = operands
        with torch.no_grad():
            y = op.reference(shapes, x, **parameters)
        carried: Tensor = _Replaced.apply(x, y, carry)  # type: ignore[no-untyped-call]
        return carried

    return run


class _Replaced(torch.autograd.Function):
    """The identity on ``y``, whose signal goes to ``x`` through ``carry``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, carry: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.carry = carry
        return y.clone()

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None, None]:
        return ctx.carry(signal), None, None


_RUN: dict[Rule | None, Callable[..., Tensor]] = {
    Rule.LINEAR: _differentiated,
    Rule.SWITCHED: _differentiated,
    Rule.RECTIFIED: _replaced(lambda signal: signal.clamp(min=0)),
    Rule.PASSED: _replaced(lambda signal: signal),
}

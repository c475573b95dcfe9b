"""Initial values of parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.ir.graph import Graph
from netspec.ir.operator import Operator, Parameter
from netspec.ir.parameter_names import attribute
from netspec.ir.randomness import generator
from netspec.ir.recipe import Assigned, Bias, Gaussian, Glorot, He, Recipe, RecipeStep, Uniform
from netspec.ir.shapes import Shape
from netspec.net import Net
from netspec.runtime.reference import require_memory

PRESETS: dict[str, tuple[list[Assigned], list[Assigned]]] = {
    "author": (
        [
            Assigned(Gaussian(deviation=0.01)),
            Assigned(Gaussian(deviation=0.03), ("C3", "C4", "C5")),
        ],
        [Assigned(Bias(value=0)), Assigned(Bias(value=1), ("C2", "C4", "C5", "F6", "F7"))],
    ),
    "caffe": (
        [Assigned(Gaussian(deviation=0.01)), Assigned(Gaussian(deviation=0.005), ("F6", "F7"))],
        [Assigned(Bias(value=0)), Assigned(Bias(value=0.1), ("C2", "C4", "C5", "F6", "F7"))],
    ),
    "glorot": ([Assigned(Glorot())], []),
    "he": ([Assigned(He())], []),
}
"""The ``init`` and ``bias`` of each preset, by name.  ``author`` is AlexNet's file in
cuda-convnet2, ``caffe`` is BVLC AlexNet.  ``paper`` uses the spec and is not listed."""


class NetTensor(NamedTuple):
    """A parameter or buffer of a net, with the row and the operator that it belongs to."""

    name: str
    row: str
    op: Operator
    inputs: tuple[Shape, ...]
    parameter: Parameter
    is_bias: bool


def initial_tensors(
    net: Net,
    recipe: Recipe,
    *,
    seed: int,
    run_weights: Callable[[str], Mapping[str, Tensor]],
    preset: str | None = None,
    init_from: str | None = None,
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the initial parameters and buffers of a net, by name, and notes for the user.

    All are float32.  Weights are drawn as ``init`` says, or from N(0, 2 / fan_in) without ``init``.
    Biases, those of normalisations too, have the value of ``bias``, or 0.  Other tensors
    (coefficients, weights and statistics of normalisations) have the initial value of their
    operator.

    Args:
        net: the checked net.
        recipe: the recipe of the run.
        seed: seed of the run.
        run_weights: function from the path of another run to its tensors by name.
        preset: initialisation instead of the recipe's: paper, author, caffe, glorot or he.
        init_from: path of a run; its tensors are copied where name and shape match.

    Raises:
        DataError: if the preset does not exist or names rows that the net does not have, or if no
            tensor of a run matches.
        MemoryError: if the parameters need more memory than the machine has.
    """
    require_memory(net, torch.float32)
    inits, biases = _assigned(net, recipe, preset)
    tensors = {}
    for tensor in net_tensors(net.graph):
        values = _initial(tensor, _for_row(biases if tensor.is_bias else inits, tensor.row), seed)
        tensors[tensor.name] = torch.from_numpy(values)
    said = []
    if init_from is not None:
        said += _copy(net, tensors, init_from, run_weights(init_from), rows=())
    for assigned in inits:
        if assigned.run:
            said += _copy(net, tensors, assigned.run, run_weights(assigned.run), assigned.rows)
    return tensors, said


def _assigned(
    net: Net, recipe: Recipe, preset: str | None
) -> tuple[Sequence[Assigned], Sequence[Assigned]]:
    """Return the assignments for weights and for biases.

    A preset replaces the recipe's own, but ``init from RUN`` of the recipe still applies.
    """
    if preset in (None, "paper"):
        return recipe.init, recipe.bias
    if preset not in PRESETS:
        known = ", ".join(("paper", *PRESETS))
        raise DataError(f"there is no initialisation {preset!r}: choose one of {known}")
    inits, biases = PRESETS[preset]
    rows = {row for assigned in (*inits, *biases) for row in assigned.rows}
    missing = sorted(rows - net.graph.rows.keys())
    if missing:
        raise DataError(
            f"the initialisation {preset!r} is for AlexNet, but {net.name} has no row "
            f"{', '.join(missing)}: write `init` and `bias` in its spec instead"
        )
    return [*inits, *(assigned for assigned in recipe.init if assigned.run)], biases


def net_tensors(graph: Graph) -> Iterator[NetTensor]:
    """Yield every parameter and buffer of a net, with its row."""
    for row in graph.rows.values():
        if row.is_inner:
            continue
        for stage in row.stages:
            op, inputs = graph.stage(stage).op, graph.shapes_into(stage)
            for name, parameter in op.parameters(inputs).items():
                called = attribute(stage, name)
                yield NetTensor(called, row.label, op, inputs, parameter, name == "bias")
            for name, buffer in op.buffers(inputs).items():
                yield NetTensor(attribute(stage, name), row.label, op, inputs, buffer, False)


def _for_row(assigned: Sequence[Assigned], row: str) -> RecipeStep | None:
    """Return the step for a row: its own, or else the one for all rows."""
    steps = [a for a in assigned if a.step is not None and (not a.rows or row in a.rows)]
    return max(steps, key=lambda a: bool(a.rows)).step if steps else None


def _initial(tensor: NetTensor, step: RecipeStep | None, seed: int) -> np.ndarray:
    parameter = tensor.parameter
    if tensor.is_bias:
        value = step.value if isinstance(step, Bias) else parameter.value
        return np.full(parameter.shape, value, np.float32)
    if parameter.fan_in is None:
        return np.full(parameter.shape, parameter.value, np.float32)
    # one generator per tensor: a change to one row leaves the initial weights of others unchanged
    drawn = generator(seed, f"init {tensor.name}")
    if isinstance(step, Uniform):
        return (2 * drawn.random(parameter.shape, np.float32) - 1) * np.float32(step.bound)
    deviation = _deviation(tensor, step)
    return drawn.standard_normal(parameter.shape, np.float32) * np.float32(deviation)


def _deviation(tensor: NetTensor, step: RecipeStep | None) -> float:
    """Return the standard deviation of the normal distribution that weights are drawn from."""
    fan_in = tensor.parameter.fan_in
    assert fan_in is not None
    if isinstance(step, Gaussian):
        return step.deviation
    if isinstance(step, Glorot):
        return float((2 / (fan_in + _fan_out(tensor))) ** 0.5)
    return float((2 / fan_in) ** 0.5)


def _fan_out(tensor: NetTensor) -> float:
    """Return the fan-out: the number of output values that an input value contributes to.

    Borders and strides are ignored.  It is the mean over input channels: the number of weights at
    one output position, divided by the number of channels that they read.
    """
    places = 1
    if tensor.op.name == "local":
        height, width, _ = tensor.op.shape(tensor.inputs)
        places = height * width
    shape = tensor.inputs[0]
    read = shape.elements if tensor.op.name == "fc" else shape.channels
    return tensor.parameter.elements / places / read


def _copy(
    net: Net,
    tensors: dict[str, Tensor],
    run: str,
    run_tensors: Mapping[str, Tensor],
    rows: Sequence[str],
) -> list[str]:
    """Copy the tensors of a run that match by name and shape; return notes for the user.

    Args:
        net: the net.
        tensors: tensors of the net by name; changed in place.
        run: name of the run, for messages.
        run_tensors: tensors of the run by name.
        rows: labels of the rows to copy; all rows if empty.

    Raises:
        DataError: if no tensor matches.
    """
    asked = [tensor for tensor in net_tensors(net.graph) if not rows or tensor.row in rows]
    copied, left = [], []
    for tensor in asked:
        source = run_tensors.get(tensor.name)
        if source is None:
            left.append(f"{tensor.name} (not in the run)")
        elif tuple(source.shape) != tensor.parameter.shape:
            shapes = f"{list(source.shape)} in the run, {list(tensor.parameter.shape)} in the net"
            left.append(f"{tensor.name} ({shapes})")
        else:
            tensors[tensor.name] = source.detach().to("cpu", torch.float32, copy=True)
            copied.append(tensor.name)
    if not copied:
        raise DataError(
            f"no tensor of {run} matches {net.name} by name and shape: {', '.join(left)}"
        )
    said = [f"copied from {run}: {', '.join(copied)}"]
    if left:
        said.append(f"not copied from {run}: {', '.join(left)}")
    unused = [name for name in run_tensors if name not in {tensor.name for tensor in asked}]
    if unused and not rows:
        said.append(f"unused in {run}: {', '.join(unused)}")
    return said

"""The parameters that a net begins to learn with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.ir.graph import Graph
from netspec.ir.operator import Operator, Parameter
from netspec.ir.parameters import attribute
from netspec.ir.randomness import generator
from netspec.ir.recipe import Assigned, Bias, Gaussian, Glorot, He, Recipe, Step, Uniform
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
"""What ``init`` and ``bias`` say, by the name of a preset.  ``author`` is cuda-convnet2's own file
of AlexNet, ``caffe`` that of BVLC's AlexNet; ``paper`` is what the spec says, and not listed."""


class Held(NamedTuple):
    """A tensor that a net holds: its name, its row, its operator there, and its description."""

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
    """The parameters and buffers of a net before training, by name, in float32, and what was said.

    Weights are drawn as ``init`` says, each tensor from a generator of its own; from
    N(0, 2 / fan_in) where nothing is said.  Biases are what ``bias`` says, else 0.  What is neither
    drawn nor a bias (coefficients, batch norm) begins with what its operator says.

    Args:
        net: the checked net.
        recipe: how it is trained.
        seed: of the run.
        run_weights: the tensors of another run, by what a spec or a user calls it.
        preset: another initialisation than the recipe's: paper, author, caffe, glorot or he.
        init_from: a run whose tensors are taken wherever name and shape match.

    Raises:
        DataError: there is no such preset, it names rows that the net has not, or nothing of a
            run matches.
        MemoryError: the machine has less memory than the parameters take.
    """
    require_memory(net, torch.float32)
    inits, biases = _assigned(net, recipe, preset)
    tensors = {}
    for held in held_by(net.graph):
        made = _initial(held, _for_row(biases if held.is_bias else inits, held.row), seed)
        tensors[held.name] = torch.from_numpy(made)
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
    """What holds for weights and for biases; runs that the recipe begins with stay."""
    if preset in (None, "paper"):
        return recipe.init, recipe.bias
    if preset not in PRESETS:
        known = ", ".join(("paper", *PRESETS))
        raise DataError(f"there is no initialisation {preset!r}: there is {known}")
    inits, biases = PRESETS[preset]
    rows = {row for assigned in (*inits, *biases) for row in assigned.rows}
    missing = sorted(rows - net.graph.rows.keys())
    if missing:
        raise DataError(
            f"the initialisation {preset!r} is AlexNet's, and {net.name} has no row "
            f"{', '.join(missing)}: write `init` and `bias` into its spec"
        )
    return [*inits, *(assigned for assigned in recipe.init if assigned.run)], biases


def held_by(graph: Graph) -> Iterator[Held]:
    """Every tensor that a net holds, with its row."""
    for row in graph.rows.values():
        if row.is_inner:
            continue
        for stage in row.stages:
            op, inputs = graph.stage(stage).op, graph.shapes_into(stage)
            for name, parameter in op.parameters(inputs).items():
                called = attribute(stage, name)
                yield Held(called, row.label, op, inputs, parameter, name == "bias")
            for name, buffer in op.buffers(inputs).items():
                yield Held(attribute(stage, name), row.label, op, inputs, buffer, False)


def _for_row(assigned: Sequence[Assigned], row: str) -> Step | None:
    """The step for a row: its own, else the one for all."""
    steps = [a for a in assigned if a.step is not None and (not a.rows or row in a.rows)]
    return max(steps, key=lambda a: bool(a.rows)).step if steps else None


def _initial(held: Held, step: Step | None, seed: int) -> np.ndarray:
    parameter = held.parameter
    if held.is_bias:
        value = step.value if isinstance(step, Bias) else parameter.value
        return np.full(parameter.shape, value, np.float32)
    if parameter.fan_in is None:
        return np.full(parameter.shape, parameter.value, np.float32)
    drawn = generator(seed, f"init {held.name}")
    if isinstance(step, Uniform):
        return (2 * drawn.random(parameter.shape, np.float32) - 1) * np.float32(step.bound)
    deviation = _deviation(held, step)
    return drawn.standard_normal(parameter.shape, np.float32) * np.float32(deviation)


def _deviation(held: Held, step: Step | None) -> float:
    """The standard deviation of a normal distribution of weights."""
    fan_in = held.parameter.fan_in
    assert fan_in is not None
    if isinstance(step, Gaussian):
        return step.deviation
    if isinstance(step, Glorot):
        return float((2 / (fan_in + _fan_out(held))) ** 0.5)
    return float((2 / fan_in) ** 0.5)


def _fan_out(held: Held) -> float:
    """How many sums an input value goes into, edges and strides aside: the mean over its channels.

    The weights of one place of the output, over the channels that they read.
    """
    places = 1
    if held.op.name == "local":
        height, width, _ = held.op.shape(held.inputs)
        places = height * width
    shape = held.inputs[0]
    read = shape.elements if held.op.name == "fc" else shape.channels
    return held.parameter.elements / places / read


def _copy(
    net: Net,
    tensors: dict[str, Tensor],
    run: str,
    given: Mapping[str, Tensor],
    rows: Sequence[str],
) -> list[str]:
    """Copy what matches by name and shape, in the rows that are asked for; and say what did."""
    asked = [held for held in held_by(net.graph) if not rows or held.row in rows]
    copied, left = [], []
    for held in asked:
        found = given.get(held.name)
        if found is None:
            left.append(f"{held.name} (not in the run)")
        elif tuple(found.shape) != held.parameter.shape:
            shapes = f"{list(found.shape)} there, {list(held.parameter.shape)} here"
            left.append(f"{held.name} ({shapes})")
        else:
            tensors[held.name] = found.detach().to("cpu", torch.float32, copy=True)
            copied.append(held.name)
    if not copied:
        raise DataError(f"nothing of {run} matches {net.name} by name and shape: {', '.join(left)}")
    said = [f"from {run}: {', '.join(copied)}"]
    if left:
        said.append(f"not from {run}: {', '.join(left)}")
    unused = [name for name in given if name not in {held.name for held in asked}]
    if unused and not rows:
        said.append(f"left in {run}: {', '.join(unused)}")
    return said

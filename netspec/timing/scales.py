"""Factors of random weights with which activations stay of order one, so that outputs tell engines
that compute the net from engines that do not.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch

from netspec.ir.parameter_names import packings
from netspec.runtime.operations import needed
from netspec.runtime.reference import fresh_tensors
from netspec.runtime.verification import random_images

if TYPE_CHECKING:
    from torch import Tensor

    from netspec.net import Net


def scales(net: Net, seed: int) -> dict[str, float]:
    """Return a factor for each drawn weight that leads to an output of the net.

    Stage after stage, the weights of ``fresh_tensors(net, seed=seed)`` are multiplied so that the
    root of the mean square of the stage's output is 1 for a random image (Mishkin and Matas 2015,
    "All you need is a good init").  He's deviation alone does so for plain stacks of convolutions
    and ReLU: a sum of residual branches doubles the variance each time, and a softmax after many of
    them leaves one class and zeros.

    Stages with drawn weights are linear in them, and their biases are zero: the output is
    multiplied like the weights.
    """
    graph = net.graph
    tensors = fresh_tensors(net, device=torch.device("cpu"), dtype=torch.float32, seed=seed)
    images = iter(random_images(net))
    reached = needed(graph, graph.outputs).union(graph.inputs)
    stages = [stage for stage in graph.stages() if stage.name in reached]
    readers = Counter(operand for stage in stages for operand in graph.operands(stage.name))
    values: dict[str, Tensor] = {}
    factors: dict[str, float] = {}
    for stage in stages:
        operands = graph.operands(stage.name)
        if not operands:
            image = next(images).float()
            is_map = stage.known_shape.is_map
            layout = torch.channels_last if is_map else torch.contiguous_format
            values[stage.name] = image.contiguous(memory_format=layout)
            continue
        inputs = graph.shapes_into(stage.name)
        recipes = packings(graph, stage.name)
        parameters = {name: recipe.pack(tensors) for name, recipe in recipes.items()}
        x = [values[operand] for operand in operands]
        with torch.inference_mode():
            y = stage.op.reference(inputs, *x, **parameters)
        described = stage.op.parameters(inputs).items()
        drawn = [name for name, parameter in described if parameter.fan_in is not None]
        size = float(y.double().square().mean().sqrt())
        if drawn and size:
            y = y / size
            factors |= {own: 1 / size for name in drawn for own in recipes[name].names}
        values[stage.name] = y
        readers.subtract(operands)
        for operand in {operand for operand in operands if not readers[operand]}:
            del values[operand]
    return factors

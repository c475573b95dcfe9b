"""Factors for random weights that keep activations of order one.

Without them, outputs of deep nets would be almost the same for right and wrong engines.
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
    """Return a factor for each random weight on which an output of the net depends.

    Stage by stage, the weights of ``fresh_tensors(net, seed=seed)`` are scaled such that the root
    mean square of the stage's output is 1 for a random image (Mishkin and Matas 2015, "All you need
    is a good init").  He initialisation alone achieves this only for plain stacks of convolutions
    and ReLU: each sum of residual branches doubles the variance, and after many of them a softmax
    gives one class and zeros.

    A stage is linear in its random weights, and its biases are zero, so scaling the weights scales
    the output by the same factor.
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

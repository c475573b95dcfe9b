"""Layers as a file of a spec's own weights would have them, without their memory."""

from __future__ import annotations

import random
from pathlib import Path

import torch

import netspec
from netspec.ir.graph import Stage
from netspec.pretrained.layers import Layer, Weights, kind_of
from netspec.pretrained.layouts import shapes_of
from tests.helpers import SYMBOLIC

CONCRETE = [name for name in netspec.bundled() if name not in SYMBOLIC]
"""The bundled nets whose sizes are numbers."""


def trained(net: netspec.Net) -> list[Stage]:
    return [stage for stage in net.graph.stages() if stage.op.is_trained]


def layer_like(net: netspec.Net, stage: str, name: str) -> Layer:
    """A layer with the shapes of a stage; its values take no memory."""
    tensors = {role: torch.zeros(1).expand(s) for role, s in shapes_of(net, stage).items()}
    kind = "deconv" if net.graph.stage(stage).op.name == "deconv" else kind_of(tensors)
    return Layer(name, kind, tensors, {role: f"{name}.{role}" for role in tensors})


def weights_of(
    net: netspec.Net, *, seed: int | None = None, format: str = "pytorch"
) -> tuple[Weights, dict[str, str]]:
    """The layers of a net in order of execution under names that say nothing, and their stages.

    Args:
        net: the net.
        seed: order of the layers; None is the order of execution.
        format: of the file.
    """
    stages = [stage.name for stage in trained(net)]
    names = [f"l{number}" for number in range(len(stages))]
    random.Random(3).shuffle(names)
    layers = [layer_like(net, stage, name) for stage, name in zip(stages, names, strict=True)]
    if seed is not None:
        random.Random(seed).shuffle(layers)
    return Weights(Path("a.pth"), format, tuple(layers)), dict(zip(names, stages, strict=True))

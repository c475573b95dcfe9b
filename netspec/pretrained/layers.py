"""The layers of a file of weights, in PyTorch's layout, whatever framework wrote the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

KINDS = ("conv", "deconv", "fc", "norm", "other")
"""Kinds of layers.  ``norm`` is a normalisation with parameters; ``other`` is anything else."""


@dataclass(frozen=True)
class Layer:
    """A layer of a file.

    Attributes:
        name: as the file has it, such as ``features.0`` or ``inception_3a/1x1``.
        kind: one of :data:`KINDS`.
        tensors: by their roles, which are netspec's names of parameters: ``weight``, ``bias``,
            ``running_mean``, ``running_var``.  In PyTorch's layout: the weight of a convolution is
            [out, in/groups, kh, kw], of a deconvolution [in, out/groups, kh, kw], of an fc
            [out, in].
        names: the name that each tensor has in the file, by role.
        flattened: how its framework orders the values of a map that is flattened: ``chw`` (PyTorch,
            Caffe) or ``hwc`` (Keras).  It matters to an fc, and to normalisations before it.
        eps: what a normalisation adds to the variance; None if the file does not say.
    """

    name: str
    kind: str
    tensors: Mapping[str, Tensor]
    names: Mapping[str, str]
    flattened: str = "chw"
    eps: float | None = None


@dataclass(frozen=True)
class Weights:
    """The layers of a file.

    Attributes:
        path: of the file.
        format: ``pytorch``, ``safetensors``, ``caffe``, ``keras``, ``onnx`` or ``matconvnet``.
        layers: in the order of the file.
        is_ordered: the order is that of execution, because the file has the graph; else it is that
            in which the layers were defined, which is often the same.
        skipped: names of tensors that are not parameters of a layer, such as counters of batches.
        facts: what else the file says that a reader of a message wants to know, by name.
    """

    path: Path
    format: str
    layers: tuple[Layer, ...]
    is_ordered: bool = False
    skipped: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def kind_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the kind of a layer in PyTorch's layout, as far as its tensors show it.

    A deconvolution has the shape of a convolution: a format that can tell them apart does so.
    """
    dimensions = tensors["weight"].dim() if "weight" in tensors else 0
    if "running_mean" in tensors:
        return "norm"
    return {1: "norm", 2: "fc", 4: "conv"}.get(dimensions, "other")

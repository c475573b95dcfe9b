"""Read the weights of ONNX models: the layers of the graph in order of execution."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.members import shown
from netspec.pretrained.formats.common import Damaged, reading, required
from netspec.pretrained.layers import Layer, Weights

SUFFIXES = (".weight", "_weight", "_w_0", "_w", "_W")
"""Endings of the names of weights, without which they are the names of layers."""

KINDS = {
    "Conv": "conv",
    "ConvTranspose": "deconv",
    "Gemm": "fc",
    "BatchNormalization": "norm",
    "InstanceNormalization": "norm",
    "LayerNormalization": "norm",
    "GroupNormalization": "norm",
    "PRelu": "other",
}
ROLES = {
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}


def read(path: Path) -> Weights:
    """Return the layers of an ONNX model, in order of execution.

    A MatMul with a constant matrix is an fc, with the bias of the Add that follows it.

    Raises:
        DataError: the file cannot be read or is damaged, or its weights are in other files.
    """
    onnx = required("onnx", "onnx")
    message = required("google.protobuf.message", "protobuf")
    with reading(path, message.DecodeError, ValueError, TypeError):
        model = onnx.load(path, load_external_data=False)
        reader = _Reader(onnx, model.graph, path)
        layers = tuple(reader.layers())
    facts = {"net": model.graph.name, "producer": model.producer_name}
    return Weights(path, "onnx", layers, True, facts={k: v for k, v in facts.items() if v})


class _Reader:
    """Reads the layers of a graph.

    Args:
        onnx: the package.
        graph: its GraphProto.
        path: of the file.
    """

    def __init__(self, onnx: Any, graph: Any, path: Path) -> None:
        self._onnx, self._graph, self._path = onnx, graph, path
        self._stored: dict[str, Any] = {one.name: one for one in graph.initializer}
        self._made = {name: node for node in graph.node for name in node.output}
        self._used = set[str]()

    def layers(self) -> Iterator[Layer]:
        """Yield the layers; raise Damaged if a tensor cannot be read."""
        for node in self._graph.node:
            if node.op_type == "MatMul":
                layer = self._product(node)
            elif node.op_type in KINDS and len(node.input) > 1:
                layer = self._layer(node)
            else:
                continue
            if layer is not None:
                yield layer

    def _layer(self, node: Any) -> Layer | None:
        roles = ROLES.get(node.op_type, ("weight", "bias"))
        tensors, names = {}, {}
        for role, name in zip(roles, node.input[1:], strict=False):
            tensor = self._constant(name) if name else None
            if tensor is None and name:
                return None  # computed, not stored: not a layer of the file
            if tensor is not None:
                tensors[role], names[role] = tensor, name
        if node.op_type == "Gemm":
            tensors = self._gemm(node, tensors)
        if node.op_type == "PRelu":
            tensors["weight"] = tensors["weight"].flatten()
        return self._named(node, KINDS[node.op_type], tensors, names)

    def _gemm(self, node: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        options = {one.name: self._onnx.helper.get_attribute_value(one) for one in node.attribute}
        if options.get("transA", 0):
            raise Damaged(f"the layer {shown(node.name)} transposes its input, which no fc does")
        weight = tensors["weight"] * options.get("alpha", 1.0)
        weight = weight if options.get("transB", 0) else weight.t()
        scaled = {"weight": weight}
        if "bias" in tensors:
            scaled["bias"] = (tensors["bias"] * options.get("beta", 1.0)).flatten()
        return scaled

    def _product(self, node: Any) -> Layer | None:
        matrix = self._constant(node.input[1])
        if matrix is None or matrix.dim() != 2:
            return None
        tensors, names = {"weight": matrix.t()}, {"weight": node.input[1]}
        after = [one for one in self._graph.node if node.output[0] in one.input]
        if len(after) == 1 and after[0].op_type == "Add":
            (name,) = [one for one in after[0].input if one != node.output[0]] or [""]
            bias = self._constant(name)
            if bias is not None and bias.numel() == matrix.shape[1]:
                tensors["bias"], names["bias"] = bias.flatten(), name
        return self._named(node, "fc", tensors, names)

    def _named(
        self, node: Any, kind: str, tensors: dict[str, Tensor], names: dict[str, str]
    ) -> Layer:
        weight = names["weight"]
        ending = next((one for one in SUFFIXES if weight.endswith(one)), "")
        name = weight.removesuffix(ending) if ending else node.name or weight
        unique, number = name, 2
        while unique in self._used:  # a layer that is used twice, or weights without names
            unique, number = f"{name} ({number})", number + 1
        self._used.add(unique)
        return Layer(unique, kind, tensors, names)

    def _constant(self, name: str) -> Tensor | None:
        """Return a tensor that is stored in the file; None if it is computed from the image."""
        if name in self._stored:
            return self._tensor(self._stored[name])
        node = self._made.get(name)
        if node is None:
            return None
        if node.op_type == "Constant":
            values = [one.t for one in node.attribute if one.name == "value"]
            return self._tensor(values[0]) if values else None
        if node.op_type == "Identity" and node.input[0] in self._stored:
            return self._constant(node.input[0])
        if node.op_type == "Transpose" and node.input[0] in self._stored:
            tensor = self._tensor(self._stored[node.input[0]])
            axes = [one.ints for one in node.attribute if one.name == "perm"]
            return tensor.permute(*(axes[0] if axes else reversed(range(tensor.dim()))))
        return None

    def _tensor(self, stored: Any) -> Tensor:
        if stored.data_location == stored.EXTERNAL or stored.external_data:
            raise DataError(
                f"cannot read weights from {self._path}: they are in another file: save the model "
                "in one file, in Python: onnx.save(onnx.load(FILE), NEW)"
            )
        array = self._onnx.numpy_helper.to_array(stored)
        if array.dtype.kind == "f" or stored.data_type == stored.BFLOAT16:
            return torch.from_numpy(
                np.array(array, array.dtype if array.dtype.kind == "f" else "f4")
            )
        return torch.from_numpy(np.array(array, np.float64))

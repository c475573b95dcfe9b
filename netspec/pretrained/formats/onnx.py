"""Read the weights of ONNX models: the layers of the graph in order of execution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor

from netspec.files.members import shown
from netspec.pretrained.formats.common import Damaged, opened_plain, reading, required
from netspec.pretrained.formats.onnx_values import ELEMENTS, Constant
from netspec.pretrained.formats.protobuf import require_small
from netspec.pretrained.layers import Layer, Weights

LARGEST = 2**31 - 1
"""The largest size of a protobuf message in bytes."""

MOST_FIELDS = 2**18
"""The largest number of fields of a model; a node has about ten."""

_WEIGHT_AND_BIAS = ("weight", "bias")
LAYERS = {
    "Conv": ("conv", _WEIGHT_AND_BIAS),
    "ConvTranspose": ("deconv", _WEIGHT_AND_BIAS),
    "Gemm": ("fc", _WEIGHT_AND_BIAS),
    "MatMul": ("fc", ("weight",)),
    "BatchNormalization": ("norm", (*_WEIGHT_AND_BIAS, "running_mean", "running_var")),
    "InstanceNormalization": ("norm", _WEIGHT_AND_BIAS),
    "LayerNormalization": ("norm", _WEIGHT_AND_BIAS),
    "GroupNormalization": ("norm", _WEIGHT_AND_BIAS),
    "Mul": ("norm", ("weight",)),  # if an Add of a bias follows
    "PRelu": ("other", ("weight",)),
}
"""The kind of layer that a node is, and the roles of its operands after the first."""

ENDINGS = {
    "weight": (".weight", "_weight", "_w_0", "_w", "_W", "_gamma", "_s_0"),
    "bias": (".bias", "_bias", "_b_0", "_b", "_B", "_beta"),
}
"""Endings of the names of tensors, without which they are names of layers, by role."""

DOMAINS = ("", "ai.onnx")
"""The names of the domain of ONNX's own operators."""

OPTIONS = {
    **dict.fromkeys(("alpha", "beta", "epsilon"), (1, "f")),
    **dict.fromkeys(("transA", "transB"), (2, "i")),
    "value": (4, "t"),
    "perm": (7, "ints"),
}
"""The attributes that this reader uses: the number of their type, and the field of that type."""

_SAME = ("Identity", "Cast")
_FLAT = ("Reshape", "Squeeze", "Unsqueeze")
_RESHAPES = ("Cast", "Dropout", "Flatten", "Identity", "Relu", "Reshape", "Squeeze")
"""Nodes that do not change the order of the values of a map."""

FOLD = "fold its constants, with onnx-simplifier or onnxruntime, and give the result"


def read(path: Path) -> Weights:
    """Return the layers of an ONNX model, in order of execution.

    A MatMul with a constant matrix is an fc.  The bias of a layer may be in the Add that follows
    it.  Nodes with the same tensors are one layer.  Values may be in another file, if that is next
    to the model and not a link.

    Raises:
        DataError: the file cannot be read or is damaged, or its weights cannot be read.
    """
    model_type = required("onnx", "onnx").ModelProto
    error = required("google.protobuf.message", "protobuf").DecodeError
    with reading(path, error), opened_plain(path) as (file, size):
        if size > LARGEST:
            raise Damaged("it has more than 2 GiB, which ONNX does not allow")
        require_small(file, size, model_type.DESCRIPTOR, MOST_FIELDS, "ONNX")
        file.seek(0)
        model = model_type.FromString(file.read())
        graph = _Graph(model.graph, path.parent)
        layers = graph.layers()
    facts = {
        "net": model.graph.name,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "input": graph.inputs(),
        "shared": ", ".join(graph.shared),
        "normalisation": _normalisation(layers),
    }
    facts = {name: shown(fact) for name, fact in facts.items() if fact}
    return Weights(path, "onnx", layers, True, graph.unused(), facts)


def _normalisation(layers: Sequence[Layer]) -> str:
    convolutions = [layer for layer in layers if layer.kind == "conv"]
    if any("running_mean" in layer.tensors for layer in layers):
        return ""
    is_biased = bool(convolutions) and all("bias" in layer.tensors for layer in convolutions)
    return "none, or in the convolutions" if is_biased else ""


class _Graph:
    """The graph of a model.

    Args:
        graph: its GraphProto.
        folder: of the file.

    Attributes:
        shared: names of layers that the net uses several times.

    Raises:
        Damaged: nodes are not in order of execution, or two values have one name.
    """

    def __init__(self, graph: Any, folder: Path) -> None:
        self.shared: list[str] = []
        self._graph, self._folder = graph, folder
        self._constants: dict[str, Constant] = {}
        self._makers: dict[str, Any] = {}
        self._takers: dict[str, list[Any]] = defaultdict(list)
        self._read = set[str]()
        for stored in graph.initializer:
            if stored.name in self._constants:
                raise Damaged(f"it has two tensors with the name {shown(stored.name)}")
            self._constants[stored.name] = Constant(stored)
        values = {"", *self._constants, *(value.name for value in graph.input)}
        for node in graph.node:
            for name in node.input:
                if name not in values:
                    raise Damaged(
                        f"{_title(node)} reads {shown(name)}, which nothing before it computes"
                    )
                self._takers[name].append(node)
            if not any(node.output):
                raise Damaged(f"{_title(node)} has no output")
            for name in filter(None, node.output):
                if name in values:
                    raise Damaged(f"its value {shown(name)} is computed twice")
                self._makers[name] = node
            values.update(node.output)
            self._add_constant(node)

    def inputs(self) -> str:
        """Return the names and shapes of the inputs, such as ``data [N, 3, 224, 224]``."""
        texts = []
        for value in self._graph.input:
            if value.name not in self._constants:
                sizes = [
                    axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim
                ]
                texts.append(f"{value.name} [{', '.join(map(str, sizes))}]")
        return ", ".join(texts)

    def unused(self) -> tuple[str, ...]:
        """Return the names of stored tensors of floats that no layer has."""
        return tuple(
            stored.name
            for stored in self._graph.initializer
            if stored.data_type in ELEMENTS and stored.name not in self._read
        )

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers; raise Damaged if a tensor cannot be read."""
        layers: dict[tuple[str, ...], Layer] = {}
        names = set[str]()
        for node in self._graph.node:
            operands = self._operands(node)
            if not operands:
                continue
            key = (node.op_type, *operands.values())
            if key in layers:
                self.shared.append(layers[key].name)
                continue
            tensors = {role: self._tensor(own) for role, own in operands.items()}
            if node.op_type == "InstanceNormalization" and _is_neutral(tensors):
                continue  # exports of group normalisation have one without parameters
            kind, _ = LAYERS[node.op_type]
            if kind == "fc":
                tensors = self._fc(node, tensors)
            elif kind in ("norm", "other"):  # of channels, they may be [C, 1, 1]
                tensors = {role: _vector(tensor) for role, tensor in tensors.items()}
            elif "bias" in tensors:
                tensors["bias"] = tensors["bias"].flatten()
            stored = {
                role: self._constants[own].stored.name or own for role, own in operands.items()
            }
            name = _unique(_name(node, stored, names), names)
            names.add(name)
            order = self._flattened(node) if kind == "fc" else "chw"
            is_norm = node.op_type == "BatchNormalization"
            eps = _options(node).get("epsilon", 1e-5) if is_norm else None
            layers[key] = Layer(name, kind, tensors, stored, order, eps)
        return tuple(layers.values())

    def _operands(self, node: Any) -> dict[str, str]:
        """Return the names of the tensors of a layer by role; empty for another node."""
        if node.op_type not in LAYERS or node.domain not in DOMAINS:
            return {}
        kind, roles = LAYERS[node.op_type]
        inputs = node.input[1:]
        if node.op_type == "Mul":
            inputs = [name for name in node.input if name in self._constants]
            if len(node.input) != 2 or len(inputs) != 1 or not self._constants[inputs[0]].is_vector:
                return {}
        operands = {role: name for role, name in zip(roles, inputs, strict=False) if name}
        weight = self._constants.get(operands.get("weight", ""))
        if weight is None or (node.op_type == "MatMul" and len(weight.shape) != 2):
            return {}
        if weight.is_reshaped and kind in ("conv", "deconv", "fc"):
            raise Damaged(f"the weight of {_title(node)} is reshaped in the graph", FOLD)
        for role, name in operands.items():
            if name not in self._constants:
                raise Damaged(f"the {role} of {_title(node)} is computed, not stored", FOLD)
        bias = self._bias_after(node, weight)
        if "bias" not in operands and bias:
            operands["bias"] = bias
        # a product with one vector alone may be anything, such as a scaled image
        return {} if node.op_type == "Mul" and not bias else operands

    def _bias_after(self, node: Any, weight: Constant) -> str:
        """Return the name of what an Add adds to the result of a node, if it is a bias."""
        if node.op_type not in ("Conv", "MatMul", "Mul") or not weight.shape:
            return ""
        takers = self._takers[node.output[0]]
        is_output = any(value.name == node.output[0] for value in self._graph.output)
        if is_output or len(takers) != 1 or takers[0].op_type != "Add":
            return ""
        others = [name for name in takers[0].input if name != node.output[0]]
        bias = self._constants.get(others[0]) if len(others) == 1 else None
        if bias is None:
            return ""
        if node.op_type == "Mul":
            return others[0] if bias.is_vector and bias.shape == weight.shape else ""
        if node.op_type == "Conv":
            expected = weight.shape[0], *(1,) * (len(weight.shape) - 2)
        else:
            expected = (weight.shape[1],)
        fits = bias.shape[-len(expected) :] == expected and prod(bias.shape) == prod(expected)
        return others[0] if fits and not bias.is_reshaped else ""

    def _tensor(self, name: str) -> Tensor:
        self._read.add(self._constants[name].stored.name)
        return self._constants[name].tensor(self._folder)

    def _fc(self, node: Any, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weight [out, in] and the bias [out]: y = alpha x W^T + beta b."""
        options = _options(node)
        if options.get("transA", 0):
            raise Damaged(f"{_title(node)} transposes its input, which no fc does")
        weight = tensors["weight"]
        if weight.dim() != 2:
            raise Damaged(f"the weight of {_title(node)} has the shape {list(weight.shape)}")
        if not options.get("transB", 0):
            weight = weight.t()
        scaled = {"weight": _times(weight, options.get("alpha", 1.0))}
        if "bias" in tensors:
            bias = _times(tensors["bias"], options.get("beta", 1.0)).flatten()
            if len(bias) not in (1, len(weight)):
                raise Damaged(f"the bias of {_title(node)} has {len(bias):,} values")
            scaled["bias"] = bias.expand(len(weight))
        return scaled

    def _flattened(self, node: Any) -> str:
        """Return the order in which an fc reads the values of a map.

        Converters from TensorFlow put a Transpose to height, width, channels before the Reshape.
        """
        maker = self._makers.get(node.input[0])
        while maker is not None and maker.op_type in _RESHAPES and maker.input:
            maker = self._makers.get(maker.input[0])
        is_moved = maker is not None and maker.op_type == "Transpose"
        return "hwc" if is_moved and [*_options(maker).get("perm", ())] == [0, 2, 3, 1] else "chw"

    def _add_constant(self, node: Any) -> None:
        """Remember the output of a node that is a constant, or the same as one."""
        if node.domain not in DOMAINS:
            return
        options, source = _options(node), self._constants.get(node.input[0] if node.input else "")
        if node.op_type == "Constant" and "value" in options:
            self._constants[node.output[0]] = Constant(options["value"])
        elif node.op_type in _SAME and source is not None:
            self._constants[node.output[0]] = source
        elif node.op_type in _FLAT and source is not None:
            self._constants[node.output[0]] = Constant(source.stored, source.axes, True)
        elif node.op_type == "Transpose" and source is not None and not source.is_reshaped:
            self._constants[node.output[0]] = source.transposed(options.get("perm"))


def _options(node: Any) -> dict[str, Any]:
    """Return the attributes of a node that this reader uses, by name; Damaged for another type."""
    options = {}
    for own in node.attribute:
        if own.name in OPTIONS and node.op_type in (*LAYERS, "Constant", "Transpose"):
            kind, field = OPTIONS[own.name]
            if own.type != kind:
                raise Damaged(f"the attribute {own.name} of {_title(node)} is of another type")
            options[own.name] = getattr(own, field)
    return options


def _title(node: Any) -> str:
    return f"the node {shown(node.name or ', '.join(node.output))} ({shown(node.op_type)})"


def _is_neutral(tensors: Mapping[str, Tensor]) -> bool:
    weight, bias = tensors["weight"], tensors.get("bias")
    return bool((weight == 1).all()) and (bias is None or not bool(bias.any()))


def _vector(tensor: Tensor) -> Tensor:
    return tensor.flatten() if tensor.numel() in tensor.shape else tensor


def _times(tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1 else tensor * factor


# ------------------------------------------------------------------------------------------- names


def _name(node: Any, operands: Mapping[str, str], taken: set[str]) -> str:
    """Return the name of a layer in the framework that exported the model.

    PyTorch writes it into the names of nodes, others into those of tensors: ``conv1/7x7_s2_w_0``.
    Tensors of PyTorch do not always have it: a folded normalisation takes it away, and tensors with
    equal values are stored once.
    """
    names = [_scope(node.name)]
    for role, endings in ENDINGS.items():
        tensor = operands.get(role, "")
        names += [tensor.removesuffix(ending) for ending in endings if tensor.endswith(ending)]
    names = [name for name in (*names, node.name) if name] or [operands["weight"]]
    return next((name for name in names if name not in taken), names[0])


def _scope(node: str) -> str:
    """Return the module of a node: ``layer1.0.conv1`` of ``/layer1/layer1.0/conv1/Conv``."""
    parts: list[str] = []
    for part in node.split("/")[1:-1] if node.startswith("/") else ():
        if parts and part.startswith(f"{parts[-1]}."):  # a Sequential and a member of it
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def _unique(name: str, taken: set[str]) -> str:
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    return unique

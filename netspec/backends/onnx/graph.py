"""Build an ONNX graph: names, nodes, constants.

The value of a stage has the name of the stage, and a parameter has its name in the model.  Other
values of an operator are called ``STAGE/name``: the name of a stage cannot contain a slash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from netspec.ir.shapes import Shape

ELEMENTS = {
    torch.float16: onnx.TensorProto.FLOAT16,
    torch.float32: onnx.TensorProto.FLOAT,
    torch.float64: onnx.TensorProto.DOUBLE,
}
"""The types for which ONNX has convolutions and pools, up to opset 21."""


@dataclass
class OnnxGraph:
    """An ONNX graph that is being built.

    Attributes:
        dtype: the type of the net.
        batch: the number of images, or the name of a dynamic dimension.
        taken: names in use; at the start those of the parameters.
        sizes: types and sizes of values that are neither inputs nor outputs.
    """

    dtype: torch.dtype
    batch: int | str
    taken: set[str]
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    sizes: list[onnx.ValueInfoProto] = field(default_factory=list)

    def put_in(self, name: str, shape: Shape) -> str:
        """Add an input; return the name of its value."""
        value = self._unique(name)
        self.inputs.append(self._described(value, shape))
        return value

    def name_last(self, name: str, shape: Shape) -> str:
        """Give the output of the last node the name of a stage, or a similar name if it is taken;
        return it."""
        value = self._unique(name)
        self.nodes[-1].output[0] = value
        self.sizes.append(self._described(value, shape))
        return value

    def put_out(self, name: str, value: str, shape: Shape) -> None:
        """Make a value an output. If it needs another name, add a node that copies it."""
        if value != name:
            copy = self._unique(name)
            self.nodes.append(helper.make_node("Identity", [value], [copy], name=f"{copy}/out"))
            value = copy
        self.sizes = [size for size in self.sizes if size.name != value]
        self.outputs.append(self._described(value, shape))

    def _unique(self, name: str) -> str:
        while name in self.taken:  # a row of a block may be called `weight`
            name += "_"
        self.taken.add(name)
        return name

    def _described(self, value: str, shape: Shape) -> onnx.ValueInfoProto:
        sizes = [self.batch, *shape.torch]
        return helper.make_tensor_value_info(value, ELEMENTS[self.dtype], sizes)


@dataclass
class NodeBuilder:
    """Adds the nodes of an operator to a graph.

    Attributes:
        graph: the graph.
        stage: the name of the stage.
        inputs: the shapes of its operands.
        parameters: for each parameter name of the operator: the name in the net, and the tensor.
        count: the number of nodes so far.
    """

    graph: OnnxGraph
    stage: str
    inputs: Sequence[Shape]
    parameters: Mapping[str, tuple[str, Tensor]]
    count: int = 0

    def node(self, kind: str, *operands: str, **attributes: Any) -> str:
        """Add a node with one output; return the name of the output."""
        return self.nodes(kind, operands, 1, **attributes)[0]

    def nodes(
        self, kind: str, operands: Sequence[str], outputs: int, **attributes: Any
    ) -> list[str]:
        """Add a node; return the names of its outputs."""
        self.count += 1
        name = f"{self.stage}/{kind}{self.count}"
        values = [name] if outputs == 1 else [f"{name}/{i}" for i in range(outputs)]
        self.graph.nodes.append(helper.make_node(kind, operands, values, name=name, **attributes))
        return values

    def parameter(self, name: str, tensor: Tensor | None = None) -> str:
        """Add a parameter, with the values of ``tensor`` if given; return its name."""
        known, own = self.parameters[name]
        return self._hold(known, (own if tensor is None else tensor).detach().cpu().numpy())

    def bias(self) -> list[str]:
        """Add the bias if the operator has one; return a list of its name, or an empty list."""
        return [self.parameter("bias")] if "bias" in self.parameters else []

    def reals(self, name: str, values: Any) -> str:
        """Add a constant in the type of the net; return its name."""
        tensor = torch.as_tensor(values, dtype=torch.float64).to(self.graph.dtype)
        return self._hold(f"{self.stage}/{name}", tensor.numpy())

    def floats(self, name: str, values: Any) -> str:
        """Add a float32 constant in a net of any type, such as a scale; return its name."""
        return self._hold(f"{self.stage}/{name}", np.asarray(values, dtype=np.float32))

    def integers(self, name: str, values: Any) -> str:
        """Add an int64 constant, such as a size; return its name."""
        return self._hold(f"{self.stage}/{name}", np.asarray(values, dtype=np.int64))

    def _hold(self, name: str, values: NDArray[Any]) -> str:
        self.graph.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


Form = Callable[..., str]
"""A function from a builder, the operator and the names of its operands to the name of its value.

The value is the output of the last node, or an operand.
"""

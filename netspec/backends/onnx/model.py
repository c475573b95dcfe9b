"""Convert a net to an ONNX model."""

from __future__ import annotations

import json

import onnx
import torch
from onnx import helper

import netspec
from netspec.backends.onnx.graph import ELEMENTS, NodeBuilder, OnnxGraph
from netspec.backends.onnx.operators import FORMS
from netspec.errors import DataError
from netspec.ir.parameter_names import attribute
from netspec.runtime.expects import as_json
from netspec.runtime.operations import needed
from netspec.runtime.reference import Model

OPSET = 17
"""Every runtime since 2022 reads it.  Newer opsets would only add convolutions in bfloat16."""

IR_VERSION = 8
"""The version of the file format that was released with the opset."""

EXPECTS = "netspec.expects"
"""The metadata key of the preprocessing and the class names, as JSON."""

HOLDS_AT_MOST = 2**31 - 2**26
"""The largest size of the parameters in bytes.

A protobuf message is at most 2 GiB, and 64 MiB are reserved for the graph.
"""


def onnx_model(model: Model, batch: int | None) -> onnx.ModelProto:
    """Return an ONNX model of a net at inference, without heads, with its weights.

    Args:
        model: a compiled net, in training or evaluation mode.
        batch: the number of images; None makes it dynamic, with the name ``N``.

    Raises:
        DataError: ONNX does not have the type of the net or one of its operators, or the parameters
            are too large for a file.
    """
    net, tensors = model.net, model.state_dict()
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    _require_room(model, dtype)
    graph = OnnxGraph(dtype, "N" if batch is None else batch, taken={*tensors})
    reached = needed(net.graph, net.graph.outputs)
    values: dict[str, str] = {}
    for stage in net.graph.stages():
        name, op, shape = stage.name, stage.op, stage.known_shape
        operands, inputs = net.graph.operands(name), net.graph.shapes_into(name)
        if not operands:
            values[name] = graph.put_in(name, shape)
        elif name in reached:
            if type(op) not in FORMS:
                raise DataError(
                    f"{net.name} cannot be exported to ONNX: netspec does not export the operator "
                    f"{op.name} yet; export it as pt2"
                )
            names = {p: attribute(name, p) for p in (*op.parameters(inputs), *op.buffers(inputs))}
            builder = NodeBuilder(
                graph, name, inputs, {p: (n, tensors[n]) for p, n in names.items()}
            )
            x = [values[operand] for operand in operands]
            y = FORMS[type(op)](builder, op, *x)
            values[name] = y if y in x else graph.name_last(name, shape)
    for name in net.graph.outputs:
        graph.put_out(name, values[name], net.graph.stage(name).known_shape)
    model_proto = helper.make_model(
        helper.make_graph(
            graph.nodes, net.name, graph.inputs, graph.outputs, value_info=graph.sizes
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="netspec",
        producer_version=netspec.__version__,
        doc_string=net.title,
    )
    helper.set_model_props(model_proto, {EXPECTS: json.dumps(as_json(model.expects))})
    # Added last: make_graph and make_model would each copy the weights.
    model_proto.graph.initializer.extend(graph.constants)
    return model_proto


def _require_room(model: Model, dtype: torch.dtype) -> None:
    """Raise DataError if an ONNX file cannot hold the net.

    This is checked first, before the parameters are copied.
    """
    name = model.net.name
    if dtype not in ELEMENTS:
        word = str(dtype).removeprefix("torch.")
        raise DataError(
            f"{name} is in {word}, but ONNX does not have convolutions in {word} in opset {OPSET}: "
            "compile it in float32 or float16, or export it as pt2"
        )
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > HOLDS_AT_MOST:
        raise DataError(
            f"the parameters of {name} take {size / 2**30:.1f} GiB, but an ONNX file must be "
            "smaller than 2 GiB: compile it in float16, or export it as pt2"
        )

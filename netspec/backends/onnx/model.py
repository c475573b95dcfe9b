"""A net as an ONNX model."""

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
"""Every runtime since 2022 has it, and nothing newer is needed but convolutions in bfloat16."""

IR_VERSION = 8
"""The format of the file that came with the opset."""

EXPECTS = "netspec.expects"
"""The property of the model that says what it expects of images, as JSON."""

HOLDS_AT_MOST = 2**31 - 2**26
"""Bytes of parameters in a file: a protobuf message ends at 2 GiB, and the graph needs room."""


def onnx_model(model: Model, batch: int | None) -> onnx.ModelProto:
    """Return a net at inference as a model, without heads, with its weights inside.

    Args:
        model: a compiled net, in either mode.
        batch: the number of images; None leaves it open, as the dimension ``N``.

    Raises:
        DataError: ONNX does not have the net's type or one of its operators, or the parameters are
            larger than a file can hold.
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
                raise DataError(f"{net.name} cannot be exported: {op.name} has no ONNX form yet")
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
    model_proto.graph.initializer.extend(graph.constants)  # both makers would copy them
    return model_proto


def _require_room(model: Model, dtype: torch.dtype) -> None:
    """Raise DataError if an ONNX file cannot hold the net, before anything is copied."""
    name = model.net.name
    if dtype not in ELEMENTS:
        word = str(dtype).removeprefix("torch.")
        raise DataError(
            f"{name} is in {word}, and ONNX has no convolutions in {word} in opset {OPSET}: "
            "compile it in float32 or float16, or export it as pt2"
        )
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > HOLDS_AT_MOST:
        raise DataError(
            f"the parameters of {name} take {size / 2**30:.1f} GiB, and an ONNX file holds less "
            "than 2: compile it in float16, or export it as pt2"
        )

"""Run an ONNX model that is the source of weights.

A model is a program: it can contain loops, and values of any size.  So it is run only if it has no
inner graphs and no values in other files, and if its sizes, which are computed first, are those of
a net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.files.members import shown
from netspec.pretrained.formats.common import line_of

Run = Callable[[Tensor], Tensor]
"""Returns the outputs of a source for images [N, C, H, W], as a matrix [N, outputs]."""

MOST_VALUES = 2**29
"""The largest number of values that a model may compute for one image: 2 GiB in float32.  Nets
compute some 10 to 100 million."""

MOST_IMAGES = 1024
"""The largest batch of a model whose batch is fixed: all of its images are computed."""

FEW = 64
"""The largest number of values of a constant from which sizes are computed."""

_OF_SIZES = {
    "Add", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "Div", "Floor", "Gather", "Max",
    "Min", "Mul", "Reshape", "Shape", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Operators with which exports compute sizes from constants, such as those of a Pad."""

FATAL = 4
"""The severity from which on ONNX Runtime prints messages: errors are exceptions too."""


class NotRun(Exception):
    """The source cannot be run; the text says why."""


def of_onnx(path: Path, image: tuple[int, ...]) -> tuple[Run, str]:
    """Return what runs an ONNX model, without a final softmax, and its name.

    Args:
        path: of the model, which has been read before.
        image: the shape of an image, [C, H, W].

    Raises:
        NotRun: the model takes other images, or is not only a net.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    _require_no_program(model)
    initial = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initial]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise NotRun(f"the model has {len(inputs)} inputs and {len(graph.output)} outputs")
    axes = inputs[0].type.tensor_type.shape.dim
    sizes = [axis.dim_value for axis in axes]
    if len(sizes) != len(image) + 1 or any(
        size not in (0, own) for size, own in zip(sizes[1:], image, strict=True)
    ):
        raise NotRun(f"the model takes images of {sizes}, and the net of {[1, *image]}")
    batch = sizes[0] or 1
    if not 0 < batch <= MOST_IMAGES:
        raise NotRun(f"the model takes {batch:,} images at once")
    for axis, size in zip(axes, (batch, *image), strict=True):
        axis.dim_value = size
    last = next((node for node in graph.node if graph.output[0].name in node.output), None)
    name = graph.output[0].name
    if last is not None and last.op_type == "Softmax" and last.input:
        name = last.input[0]
    del graph.output[:]
    graph.output.append(onnx.ValueInfoProto(name=name))
    _require_small(model, batch)
    try:
        run, engine = _session(model, inputs[0].name)
    except Exception as error:  # a model that the engine refuses
        raise NotRun(f"the ONNX model cannot be run: {line_of(error)}") from None

    def run_each(images: Tensor) -> Tensor:
        batches = [image[None].expand(batch, *image.shape) for image in images]
        outputs = [torch.as_tensor(run(one.contiguous().numpy()))[:1] for one in batches]
        return torch.cat([one.flatten(1) for one in outputs])

    return run_each, f"the ONNX model in {engine}"


def _require_no_program(model: Any) -> None:
    """Raise NotRun if a model has inner graphs, or operators or values of another place."""
    import onnx

    tensors = list(model.graph.initializer)
    if model.functions:
        raise NotRun("the model has functions")
    for node in model.graph.node:
        for own in node.attribute:
            if own.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
                raise NotRun(f"the model has the operator {shown(node.op_type)}, which has a graph")
            tensors += [own.t, *own.tensors]
    if any(tensor.external_data for tensor in tensors) or model.graph.sparse_initializer:
        raise NotRun("the values of the model are in another file")


def _require_small(model: Any, batch: int) -> None:
    """Raise NotRun if a model computes more values per image than a net, or a number unknown."""
    import onnx

    try:
        outline = _outline(model)
        graph = onnx.shape_inference.infer_shapes(outline, data_prop=True).graph
    except Exception as error:  # whatever the library raises for a damaged model
        raise NotRun(f"the sizes in the model are unknown: {line_of(error)}") from None
    count = 0
    known = {value.name: value.type.tensor_type for value in chain(graph.value_info, graph.output)}
    for name in chain.from_iterable(node.output for node in outline.graph.node):
        if not name:
            continue
        kind = known.get(name)
        sizes = list(_sizes(kind)) if kind is not None and kind.HasField("shape") else [0]
        if any(size < 1 for size in sizes):
            raise NotRun(f"the size of the value {shown(name)} in the model is unknown")
        count += prod(sizes)
    if count > MOST_VALUES * batch:
        raise NotRun(f"the model computes {count:,} values, more than a net does")


def _outline(model: Any) -> Any:
    """Return a model without large weights, which would be copied, and with sizes computed."""
    import onnx

    outline = onnx.ModelProto()
    outline.ir_version = max(model.ir_version, 4)  # before, initializers are inputs too
    outline.opset_import.extend(model.opset_import)
    graph = outline.graph
    graph.name = "outline"
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    known = {value.name for value in graph.input}
    constants = dict[str, Any]()
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= FEW:
            constants[tensor.name] = onnx.numpy_helper.to_array(tensor)
        elif tensor.name not in known:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    for node in model.graph.node:
        value = _computed(node, constants)
        if value is None:
            graph.node.append(node)
        else:
            constants[node.output[0]] = value
    for name, value in constants.items():
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return outline


def _computed(node: Any, constants: dict[str, Any]) -> Any:
    """Return the value of a node that computes sizes from constants; None for another node."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Constant":
        (own,) = node.attribute
        is_small = own.name == "value" and prod(own.t.dims) <= FEW
        return onnx.numpy_helper.to_array(own.t) if is_small else None
    if node.op_type not in _OF_SIZES or not {*node.input} <= {*constants, ""}:
        return None
    inputs = {name: constants[name] for name in node.input if name}
    sizes = inputs[node.input[0]]
    if node.op_type == "ConstantOfShape" and not 0 <= prod(sizes.tolist()) <= FEW:
        return None
    evaluator: Any = ReferenceEvaluator(node)
    value = evaluator.run(None, inputs)[0]
    return value if value.size <= FEW else None


def _sizes(kind: Any) -> Iterator[int]:
    for axis in kind.shape.dim:
        yield axis.dim_value  # 0 if it is unknown


def _session(model: Any, name: str) -> tuple[Callable[[Any], Any], str]:
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        evaluator: Any = ReferenceEvaluator(model)
        return lambda image: evaluator.run(None, {name: image})[0], "onnx's reference"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {name: image})[0], "ONNX Runtime"

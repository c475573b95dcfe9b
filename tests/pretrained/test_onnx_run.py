"""ONNX models are programs: those that are not only nets are not run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from netspec.pretrained.onnx_run import NotRun, of_onnx

WEIGHT = numpy_helper.from_array(np.ones((5, 192), np.float32), "w")
FLAT = helper.make_node("Flatten", ["x"], ["flat"])
FC = helper.make_node("Gemm", ["flat", "w"], ["y"], transB=1)


def constant(name: str, values: Any, dtype: Any = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.array(values, dtype), name)


def model(folder: Path, *nodes: Any, tensors: Sequence[TensorProto] = ()) -> Path:
    """Write a model of an fc, and of nodes that make ``out`` from its output ``y``."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph([FLAT, FC, *nodes], "g", [image], [output], [WEIGHT, *tensors])
    opset = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    (folder / "a.onnx").write_bytes(content)
    return folder / "a.onnx"


def reason(path: Path) -> str:
    with pytest.raises(NotRun) as caught:
        of_onnx(path, (3, 8, 8))
    return str(caught.value)


def test_a_loop_without_an_end_is_not_run(tmp_path: Path) -> None:
    values = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("i", TensorProto.INT64, []),
            ("go", TensorProto.BOOL, []),
            ("v", TensorProto.FLOAT, None),
            ("go_on", TensorProto.BOOL, []),
            ("next", TensorProto.FLOAT, None),
        )
    ]
    same = [helper.make_node("Identity", [a], [b]) for a, b in (("go", "go_on"), ("v", "next"))]
    body = helper.make_graph(same, "body", values[:3], values[3:])
    tensors = [constant("times", 2**62), constant("go_in", True, np.bool_)]
    path = model(
        tmp_path, helper.make_node("Loop", ["times", "go_in", "y"], ["out"], body=body),
        tensors=tensors,
    )  # fmt: skip
    assert reason(path) == "the model has the operator Loop, which has a graph"


@pytest.mark.parametrize("count", [-1, 2**62])
def test_a_batch_of_any_size_is_not_computed(count: int, tmp_path: Path) -> None:
    path = model(tmp_path, helper.make_node("Identity", ["y"], ["out"]))
    content = onnx.load(path)
    content.graph.input[0].type.tensor_type.shape.dim[0].dim_value = count
    onnx.save(content, path)
    assert reason(path) == f"the model takes {count:,} images at once"


def test_a_softmax_without_an_input_is_not_run(tmp_path: Path) -> None:
    assert "sizes in the model" in reason(model(tmp_path, helper.make_node("Softmax", [], ["out"])))


@pytest.mark.parametrize("is_known", [True, False])
def test_values_of_any_size_are_not_computed(is_known: bool, tmp_path: Path) -> None:
    """The size is in the model, or depends on the image."""
    size = constant("size", [2**32, 5])
    make = helper.make_node("Cast", ["y"], ["size"], to=TensorProto.INT64)
    nodes = [
        *([] if is_known else [make]),
        helper.make_node("ReduceMax", ["y"], ["m"], axes=[0]),
        helper.make_node("Expand", ["m", "size"], ["big"]),
        helper.make_node("ReduceMean", ["big"], ["out"], axes=[0]),
    ]
    said = reason(model(tmp_path, *nodes, tensors=[size] if is_known else []))
    expected = "values, more than a net does" if is_known else "the size of the value big in the"
    assert expected in said


def test_padding_of_any_size_is_not_computed(tmp_path: Path) -> None:
    size = 2**20
    pads = [constant("pads", [0, 0, size, size, 0, 0, size, size])]
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["wide"]),
        helper.make_node("ReduceMean", ["wide"], ["m"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Add", ["m", "y"], ["out"]),
    ]
    assert "values, more than a net does" in reason(model(tmp_path, *nodes, tensors=pads))


def test_values_in_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(np.arange(5, dtype=np.float32).tobytes())
    outside = TensorProto(name="c", data_type=1, dims=[5], data_location=TensorProto.EXTERNAL)
    entry = outside.external_data.add()
    entry.key, entry.value = "location", "secret"
    nodes = [
        helper.make_node("Constant", [], ["c"], value=outside),
        helper.make_node("Add", ["y", "c"], ["out"]),
    ]
    assert reason(model(tmp_path, *nodes)) == "the values of the model are in another file"


def test_a_part_of_an_attribute_is_a_graph(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["y"], ["out"])
    graphs = AttributeProto(name="graphs", type=AttributeProto.GRAPHS)
    node.attribute.append(graphs)
    assert "has the operator Identity, which has a graph" in reason(model(tmp_path, node))


class Padded(nn.Module):
    """A net whose export computes the sizes of its padding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        wide = F.pad(self.conv(images), (1, 0, 2, 0))
        return wide.reshape(images.size(0), -1).softmax(1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Constant folding:UserWarning")
@pytest.mark.parametrize("batch", [1, 3, None])
def test_a_net_is_run_whatever_its_batch(batch: int | None, tmp_path: Path) -> None:
    module = Padded().eval()
    axes = {"x": {0: "N"}} if batch is None else None
    torch.onnx.export(
        module, torch.zeros(batch or 1, 3, 8, 8), tmp_path / "a.onnx", dynamo=False,
        input_names=["x"], dynamic_axes=axes,
    )  # fmt: skip
    run, name = of_onnx(tmp_path / "a.onnx", (3, 8, 8))
    assert name == "the ONNX model in ONNX Runtime"
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = F.pad(module.conv(images), (1, 0, 2, 0)).flatten(1)
    torch.testing.assert_close(run(images), logits, rtol=1e-4, atol=1e-5)  # without the softmax

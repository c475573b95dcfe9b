from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import netspec
from netspec import DataError
from netspec.pretrained.formats import read


def stored(name: str, *shape: int) -> Any:
    values = np.random.default_rng(len(name)).normal(size=shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def saved(path: Path, nodes: list[Any], tensors: list[Any]) -> Path:
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors,
    )  # fmt: skip
    onnx.save(helper.make_model(graph), path)
    return path


def test_layers_are_in_order_of_execution_with_their_names(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "conv1/7x7_s2_w_0", "conv1/7x7_s2_b_0"], ["a"]),
        helper.make_node(
            "BatchNormalization", ["a", "n.weight", "n.bias", "n.mean", "n.var"], ["b"]
        ),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "fc.weight", "fc.bias"], ["d"], transB=1),
        helper.make_node("MatMul", ["d", "m"], ["e"]),
        helper.make_node("Add", ["e", "m_bias"], ["y"]),
    ]
    tensors = [
        stored("m", 5, 7), stored("m_bias", 7), stored("fc.weight", 5, 4), stored("fc.bias", 5),
        stored("n.weight", 4), stored("n.bias", 4), stored("n.mean", 4), stored("n.var", 4),
        stored("conv1/7x7_s2_w_0", 4, 3, 3, 3), stored("conv1/7x7_s2_b_0", 4),
    ]  # fmt: skip
    weights = read(saved(tmp_path / "a.onnx", nodes, tensors))
    assert weights.is_ordered
    assert [(one.name, one.kind) for one in weights.layers] == [
        ("conv1/7x7_s2", "conv"), ("n", "norm"), ("fc", "fc"), ("m", "fc"),
    ]  # fmt: skip
    own = {tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in tensors}
    norm, fc, product = weights.layers[1:]
    assert torch.equal(norm.tensors["running_var"], own["n.var"])
    assert torch.equal(fc.tensors["weight"], own["fc.weight"])
    assert torch.equal(product.tensors["weight"], own["m"].t())
    assert torch.equal(product.tensors["bias"], own["m_bias"])


def test_what_netspec_exports_is_read_again(tmp_path: Path) -> None:
    net = netspec.loads(
        "net a\ninput image 8x8x3\nC1: conv 3x3, 4 | relu\nC2: conv 1x1, 4\nF3: fc 5 | softmax\n"
    )
    model = netspec.compile(net)
    netspec.save(model, tmp_path / "a.onnx")
    converted = netspec.convert_weights(net, tmp_path / "a.onnx")
    assert converted.checked.source == "the ONNX model in ONNX Runtime"
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(converted.tensors[name], tensor)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    tensor = stored("w", 4, 3, 3, 3)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    path = saved(tmp_path / "a.onnx", [helper.make_node("Conv", ["x", "w"], ["y"])], [tensor])
    with pytest.raises(DataError, match="they are in another file"):
        read(path)


def test_claimed_sizes_are_those_of_the_values(tmp_path: Path) -> None:
    tensor = stored("w", 4, 3, 3, 3)
    tensor.dims[:] = [100_000, 100_000, 3, 3]
    path = saved(tmp_path / "a.onnx", [helper.make_node("Conv", ["x", "w"], ["y"])], [tensor])
    with pytest.raises(DataError, match="it is damaged"):
        read(path)


def test_a_truncated_model_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    content = saved(tmp_path / "a.onnx", nodes, [stored("w", 4, 3, 3, 3)]).read_bytes()
    for cut in (20, len(content) // 2, len(content) - 5):
        (tmp_path / "b.onnx").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"b\.onnx"):
            read(tmp_path / "b.onnx")


def test_a_model_without_stored_weights_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.onnx", [helper.make_node("Relu", ["x"], ["y"])], [])
    with pytest.raises(DataError, match="does not contain weights of a layer"):
        read(path)

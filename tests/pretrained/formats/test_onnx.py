from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import netspec
from netspec import DataError
from netspec.pretrained.formats import read
from netspec.pretrained.formats.onnx import MOST_FIELDS
from netspec.pretrained.layers import Layer, Weights
from tests.pretrained.formats.helpers import within

CONV = helper.make_node("Conv", ["x", "w"], ["y"])


def values(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def stored(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(values(*shape), name)


def saved(path: Path, nodes: Sequence[Any], tensors: Sequence[Any], **options: Any) -> Path:
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors,
    )  # fmt: skip
    path.write_bytes(helper.make_model(graph, **options).SerializeToString())
    return path


def layers(folder: Path, nodes: Sequence[Any], tensors: Sequence[Any]) -> tuple[Layer, ...]:
    return read(saved(folder / "a.onnx", nodes, tensors)).layers


def described(weights: Weights) -> list[tuple[str, str, list[str]]]:
    return [(layer.name, layer.kind, [*layer.tensors]) for layer in weights.layers]


def near(tensor: torch.Tensor, expected: Any) -> bool:
    return torch.equal(tensor, torch.tensor(expected))


# ------------------------------------------------------------------------------------------ layers


def test_layers_are_in_order_of_execution_with_their_names(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "conv1/7x7_s2_w_0", "conv1/7x7_s2_b_0"], ["a"]),
        helper.make_node(
            "BatchNormalization", ["a", "n.weight", "n.bias", "n.mean", "n.var"], ["b"]
        ),
        helper.make_node("ConvTranspose", ["b", "up.weight"], ["c"]),
        helper.make_node("PRelu", ["c", "slope"], ["d"], name="prelu1"),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "fc.weight", "fc.bias"], ["f"], transB=1),
        helper.make_node("LayerNormalization", ["f", "ln.weight", "ln.bias"], ["g"]),
        helper.make_node("Relu", ["g"], ["y"]),
    ]
    tensors = [
        stored("slope", 5, 1, 1), stored("fc.weight", 5, 4), stored("fc.bias", 5),
        stored("ln.weight", 5), stored("ln.bias", 5), stored("up.weight", 4, 5, 2, 2),
        stored("n.weight", 4), stored("n.bias", 4), stored("n.mean", 4), stored("n.var", 4),
        stored("conv1/7x7_s2_w_0", 4, 3, 3, 3), stored("conv1/7x7_s2_b_0", 4),
        stored("spare", 2), numpy_helper.from_array(np.array([1]), "shape"),
    ]  # fmt: skip
    weights = read(saved(tmp_path / "a.onnx", nodes, tensors, producer_name="made"))
    assert weights.is_ordered
    assert described(weights) == [
        ("conv1/7x7_s2", "conv", ["weight", "bias"]),
        ("n", "norm", ["weight", "bias", "running_mean", "running_var"]),
        ("up", "deconv", ["weight"]),
        ("prelu1", "other", ["weight"]),
        ("fc", "fc", ["weight", "bias"]),
        ("ln", "norm", ["weight", "bias"]),
    ]
    assert weights.skipped == ("spare",)
    assert weights.facts == {"net": "g", "producer": "made", "input": "x [N, 3, 8, 8]"}
    by_name = {tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in tensors}
    for layer in weights.layers:
        for role, tensor in layer.tensors.items():
            assert torch.equal(tensor.flatten(), by_name[layer.names[role]].flatten())
    assert weights.layers[3].tensors["weight"].shape == (5,)


@pytest.mark.parametrize(
    ("options", "weight", "bias"),
    [
        ({}, values(4, 5).T, values(5)),
        ({"transB": 1}, values(4, 5), None),
        ({"alpha": 2.0, "beta": 0.5}, 2 * values(4, 5).T, values(5) / 2),
    ],
)
def test_the_weight_of_an_fc_is_out_by_in(
    options: dict[str, Any], weight: Any, bias: Any, tmp_path: Path
) -> None:
    operands = ["x", "w"] if bias is None else ["x", "w", "b"]
    nodes = [helper.make_node("Gemm", operands, ["y"], **options)]
    (layer,) = layers(tmp_path, nodes, [stored("w", 4, 5), stored("b", 5)])
    assert near(layer.tensors["weight"], weight)
    assert ("bias" in layer.tensors) == (bias is not None)
    assert bias is None or near(layer.tensors["bias"], bias)


def test_one_bias_for_all_outputs_is_repeated(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"])]
    (layer,) = layers(tmp_path, nodes, [stored("w", 4, 5), stored("b", 1)])
    assert near(layer.tensors["bias"], np.repeat(values(1), 5))


@pytest.mark.parametrize("is_first", [True, False])
def test_the_add_after_a_product_or_a_convolution_has_its_bias(
    is_first: bool, tmp_path: Path
) -> None:
    def add(value: str, bias: str, output: str) -> Any:
        return helper.make_node("Add", [bias, value] if is_first else [value, bias], [output])

    nodes = [
        helper.make_node("Conv", ["x", "c.weight"], ["a"]), add("a", "c_bias", "b"),
        helper.make_node("MatMul", ["b", "onnx::MatMul_7"], ["c"]), add("c", "m.bias", "y"),
    ]  # fmt: skip
    tensors = [
        stored("c.weight", 4, 3, 1, 1), stored("c_bias", 1, 4, 1, 1),
        stored("onnx::MatMul_7", 6, 5), stored("m.bias", 5),
    ]  # fmt: skip
    conv, product = layers(tmp_path, nodes, tensors)
    assert (conv.name, conv.names["bias"], conv.tensors["bias"].shape) == ("c", "c_bias", (4,))
    assert (product.name, product.names["bias"]) == ("m", "m.bias")
    assert near(product.tensors["weight"], values(6, 5).T)


@pytest.mark.parametrize(
    ("shape", "outputs", "takers"),
    [((5, 1), ["y"], 1), ((1, 4, 1, 1), ["y"], 1), ((5,), ["a", "y"], 1), ((5,), ["y"], 2)],
)
def test_an_add_of_something_else_is_not_a_bias(
    shape: tuple[int, ...], outputs: list[str], takers: int, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "b"], ["y"]),
        *[helper.make_node("Relu", ["a"], [f"r{n}"]) for n in range(takers - 1)],
    ]  # fmt: skip
    path = saved(tmp_path / "a.onnx", nodes, [stored("w", 4, 5), stored("b", *shape)])
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs
    )
    onnx.save(model, path)
    weights = read(path)
    assert described(weights) == [("w", "fc", ["weight"])]
    assert weights.skipped == ("b",)


def test_constants_are_found_through_nodes(tmp_path: Path) -> None:
    constant = stored("", 4, 3, 1, 1)
    nodes = [
        helper.make_node("Constant", [], ["k"], value=constant),
        helper.make_node("Identity", ["k"], ["same"]),
        helper.make_node("Conv", ["x", "same"], ["a"], name="first"),
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("Transpose", ["t"], ["u"]),
        helper.make_node("Cast", ["u"], ["v"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["a", "t"], ["b"], name="second"),
        helper.make_node("MatMul", ["b", "v"], ["y"], name="third"),
    ]
    weights = read(saved(tmp_path / "a.onnx", nodes, [stored("w", 6, 5)]))
    assert [layer.name for layer in weights.layers] == ["first", "second", "third"]
    first, second, third = (layer.tensors["weight"] for layer in weights.layers)
    assert near(first, values(4, 3, 1, 1))
    assert near(second, values(6, 5))
    assert near(third, values(6, 5).T)
    assert weights.skipped == ()


def test_a_product_and_a_sum_of_channels_are_a_normalisation(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("InstanceNormalization", ["x", "ones", "zeros"], ["a"]),
        helper.make_node("Mul", ["s.weight", "a"], ["b"]),
        helper.make_node("Add", ["b", "s.bias"], ["c"]),
        helper.make_node("Mul", ["c", "alone"], ["d"]),
        helper.make_node("InstanceNormalization", ["d", "i.weight", "i.bias"], ["y"]),
    ]
    tensors = [
        numpy_helper.from_array(np.ones(3, np.float32), "ones"), stored("i.weight", 3),
        numpy_helper.from_array(np.zeros(3, np.float32), "zeros"), stored("i.bias", 3),
        stored("s.weight", 3, 1, 1), stored("s.bias", 3, 1, 1), stored("alone", 3, 1, 1),
    ]  # fmt: skip
    weights = read(saved(tmp_path / "a.onnx", nodes, tensors))
    assert described(weights) == [
        ("s", "norm", ["weight", "bias"]), ("i", "norm", ["weight", "bias"]),
    ]  # fmt: skip
    assert weights.layers[0].tensors["bias"].shape == (3,)
    assert weights.skipped == ("alone",)


def test_nodes_with_the_same_tensors_are_one_layer(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "c.weight"], ["a"]),
        helper.make_node("Conv", ["a", "c.weight"], ["b"]),
        helper.make_node("Conv", ["b", "c.weight", "bias"], ["y"]),
    ]
    path = saved(tmp_path / "a.onnx", nodes, [stored("c.weight", 3, 3, 1, 1), stored("bias", 3)])
    weights = read(path)
    assert [layer.name for layer in weights.layers] == ["c", "c (2)"]
    assert weights.facts["shared"] == "c"


def test_products_of_computed_matrices_are_not_layers(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("Conv", ["b", "w"], ["y"], domain="other"),
    ]
    with pytest.raises(DataError, match="does not contain weights of a layer"):
        read(saved(tmp_path / "a.onnx", nodes, [stored("w", 2, 3, 4)]))


def test_a_bias_that_is_computed_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Neg", ["b"], ["n"]),
        helper.make_node("Conv", ["x", "w", "n"], ["y"], name="c"),
    ]
    path = saved(tmp_path / "a.onnx", nodes, [stored("w", 4, 3, 1, 1), stored("b", 4)])
    with pytest.raises(DataError, match=r"the bias of the node c \(Conv\) is computed, not st"):
        read(path)


@pytest.mark.parametrize("after", [None, "Transpose"])
def test_a_weight_that_is_reshaped_is_not_guessed(after: str | None, tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["w", "shape"], ["r"])]
    nodes += [helper.make_node(after, ["r"], ["t"], perm=[3, 2, 1, 0])] if after else []
    nodes.append(helper.make_node("Conv", ["x", "t" if after else "r"], ["y"], name="c"))
    shape = numpy_helper.from_array(np.array([4, 3, 1, 1]), "shape")
    with pytest.raises(DataError, match=r"reshaped in the graph|does not contain weights of"):
        read(saved(tmp_path / "a.onnx", nodes, [stored("w", 12), shape]))


def test_an_fc_that_reads_height_width_channels_is_marked(tmp_path: Path) -> None:
    for perm, order in (([0, 2, 3, 1], "hwc"), ([0, 1, 2, 3], "chw")):
        nodes = [
            helper.make_node("Transpose", ["x"], ["a"], perm=perm),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Reshape", ["b", "shape"], ["c"]),
            helper.make_node("MatMul", ["c", "w"], ["y"]),
        ]
        shape = numpy_helper.from_array(np.array([1, -1]), "shape")
        (layer,) = layers(tmp_path, nodes, [stored("w", 192, 5), shape])
        assert layer.flattened == order


@pytest.mark.parametrize(
    ("node", "tensor", "name"),
    [
        ("/layer1/layer1.0/conv1/Conv", "onnx::Conv_17", "layer1.0.conv1"),
        ("/features/features.0/Conv", "onnx::Conv_17", "features.0"),
        ("/Mixed_5b/branch1x1/conv/Conv", "onnx::Conv_17", "Mixed_5b.branch1x1.conv"),
        ("/layer2/layer2.0/downsample/downsample.0/Conv", "17", "layer2.0.downsample.0"),
        ("/a/Conv", "b.weight", "a"),
        ("/Conv", "b.weight", "b"),
        ("/Conv", "onnx::Conv_17", "/Conv"),
        ("block1_conv1/Conv2D", "ReadVariableOp:0", "block1_conv1/Conv2D"),
        ("", "17", "17"),
        ("Conv_3", "vgg0_conv0_weight", "vgg0_conv0"),
        ("", "inception_3a/1x1_w_0", "inception_3a/1x1"),
    ],
)
def test_names_are_those_of_the_framework(
    node: str, tensor: str, name: str, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Conv", ["x", tensor], ["y"], name=node)]
    (layer,) = layers(tmp_path, nodes, [stored(tensor, 4, 3, 1, 1)])
    assert layer.name == name


# ------------------------------------------------------------------------------------- real files


def test_what_netspec_exports_is_read_again(tmp_path: Path) -> None:
    net = netspec.loads(
        "net a\ninput image 8x8x3\nC1: conv 3x3, 4 | bn eps=1e-3 | prelu\n"
        "D2: deconv 2x2, 4, stride=2 | gn 2, eps=1e-3\nF3: fc 5 | ln eps=1e-3 | softmax\n"
    )
    model = netspec.compile(net)
    netspec.save(model, tmp_path / "a.onnx")
    weights = read(tmp_path / "a.onnx")
    assert [layer.name for layer in weights.layers] == [
        "C1.conv", "C1.bn", "C1.prelu", "D2.deconv", "D2.gn", "F3.fc", "F3.ln",
    ]  # fmt: skip
    by_name = {
        layer.names[role]: tensor
        for layer in weights.layers
        for role, tensor in layer.tensors.items()
    }
    for name, tensor in model.state_dict().items():
        assert torch.equal(by_name[name].reshape(tensor.shape), tensor)
    assert weights.facts["producer"].startswith("netspec ")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("is_folded", [True, False])
def test_what_pytorch_exports_has_the_names_of_the_module(is_folded: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)), nn.PReLU(4),
        nn.Flatten(), nn.Linear(144, 5),
    ).eval()  # fmt: skip
    training = torch.onnx.TrainingMode.EVAL if is_folded else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(
        net, torch.zeros(1, 3, 8, 8), tmp_path / "a.onnx", dynamo=False, training=training,
        do_constant_folding=is_folded,
    )  # fmt: skip
    weights = read(tmp_path / "a.onnx")
    own = net.state_dict()
    kinds = ["conv", "other", "fc"] if is_folded else ["conv", "norm", "other", "fc"]
    assert [layer.kind for layer in weights.layers] == kinds
    assert weights.layers[0].name == "0.0"
    assert ("normalisation" in weights.facts) == is_folded
    assert torch.equal(weights.layers[-1].tensors["weight"], own["3.weight"])
    if is_folded:
        return
    for layer in (*weights.layers[:2], weights.layers[3]):
        for role, tensor in layer.tensors.items():
            assert torch.equal(tensor, own[f"{layer.name}.{role}"])


# ------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        (TensorProto.FLOAT, torch.float32), (TensorProto.DOUBLE, torch.float64),
        (TensorProto.FLOAT16, torch.float16), (TensorProto.BFLOAT16, torch.bfloat16),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_raw", [True, False])
def test_values_are_read_from_bytes_and_from_fields(
    element: int, dtype: torch.dtype, is_raw: bool, tmp_path: Path
) -> None:
    own = torch.tensor([[[[-1.5]], [[0.25]], [[3.0]]]], dtype=dtype)
    if is_raw:
        bits = own.contiguous().view(torch.uint8).numpy().tobytes()
        tensor = helper.make_tensor("w", element, own.shape, bits, raw=True)
    else:
        tensor = helper.make_tensor("w", element, own.shape, own.flatten().tolist())
        assert not tensor.HasField("raw_data")
    (layer,) = layers(tmp_path, [CONV], [tensor])
    assert layer.tensors["weight"].dtype == dtype
    assert torch.equal(layer.tensors["weight"], own)


def external(path: Path, **entries: object) -> Path:
    """Write a model whose weight is in another file."""
    tensor = stored("w", 4, 3, 1, 1)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return saved(path, [CONV], [tensor])


def test_values_may_be_in_a_file_next_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_bytes(bytes(8) + values(4, 3, 1, 1).tobytes())
    for entries in (
        {"location": "a.data", "offset": 8, "length": 48},
        {"location": "./a.data", "offset": 8},
    ):
        (layer,) = read(external(tmp_path / "a.onnx", **entries)).layers
        assert near(layer.tensors["weight"], values(4, 3, 1, 1))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "/etc/passwd"}, "in another file, /etc/passwd, which is not in its folder"),
        ({"location": "../a.data"}, "which is not in its folder; save the model in one file"),
        ({"location": "sub/a.data"}, "which is not in its folder"),
        ({"location": "C:a.data"}, "which is not in its folder"),
        ({"location": "a\x1b[2J.data"}, r"a\\u001b\[2J.data, which is not in its folder"),
        ({"location": ".."}, "which is not in its folder"),
        ({}, "which is not in its folder"),
        ({"location": "absent.data"}, "weights are in absent.data: there is no such file; save"),
        ({"location": "link.data"}, "weights are in link.data: it is a link"),
        ({"location": "folder"}, "weights are in folder: "),
        ({"location": "a.data", "offset": 9}, "claims 48 bytes from byte 9 of a.data, and that"),
        ({"location": "a.data", "offset": -8}, "claims 48 bytes from byte -8"),
        ({"location": "a.data", "length": 10**10}, "w claims 48 bytes"),
        ({"location": "a.data", "offset": "x"}, "w has no place in its file"),
        ({"location": "a.data", "offset": "9" * 5000}, "w has no place in its file"),
    ],
)
def test_no_path_of_a_model_is_followed(
    entries: dict[str, object], message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.data").write_bytes(bytes(56))
    (tmp_path / "link.data").symlink_to(tmp_path / "a.data")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=f"cannot read weights from .*a.onnx: .*{message}"):
        read(external(tmp_path / "a.onnx", **entries))


# ----------------------------------------------------------------------------------------- hostile


def test_a_model_that_is_cut_anywhere_is_named(tmp_path: Path) -> None:
    content = saved(tmp_path / "a.onnx", [CONV], [stored("w", 4, 3, 3, 3)]).read_bytes()
    for cut in range(1, len(content), 7):
        (tmp_path / "b.onnx").write_bytes(content[:cut])
        with pytest.raises(DataError, match=r"cannot read weights from .*b\.onnx"):
            read(tmp_path / "b.onnx")


def test_a_changed_byte_raises_nothing_else(tmp_path: Path) -> None:
    nodes = [CONV, helper.make_node("Gemm", ["y", "v", "b"], ["z"], transB=1, name="fc")]
    tensors = [stored("w", 4, 3, 1, 1), stored("v", 2, 4), stored("b", 2)]
    content = bytearray(saved(tmp_path / "a.onnx", nodes, tensors).read_bytes())
    refused = 0
    for at in range(len(content)):
        changed = content.copy()
        changed[at] ^= 0x55
        (tmp_path / "b.onnx").write_bytes(changed)
        try:
            read(tmp_path / "b.onnx")
        except DataError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("content", [b"", b"\x80\2", b"PK\3\4" + bytes(60), b"text " * 9, bytes(9)])
def test_other_files_are_not_models(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(DataError, match="cannot read weights from"):
        read(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([100_000, 100_000, 3, 3], r"w claims \[100000, 100000, 3, 3\], 360,000,000,000 bytes"),
        ([2**62, 2**62], "w claims"),
        ([-4, -27], r"w claims the shape \[-4, -27\]"),
        ([1] * 100, "w claims the shape"),
        ([4, 3, 3], r"w claims \[4, 3, 3\], 144 bytes, and has 432"),
    ],
)
@pytest.mark.parametrize("is_raw", [True, False])
def test_claimed_shapes_are_those_of_the_values(
    dims: list[int], message: str, is_raw: bool, tmp_path: Path
) -> None:
    tensor = stored("w", 4, 3, 3, 3)
    if not is_raw:
        tensor = helper.make_tensor("w", TensorProto.FLOAT, [108], [1.0] * 108)
    tensor.dims[:] = dims
    with pytest.raises(DataError, match=f"a.onnx: it is damaged: {message}"):
        layers(tmp_path, [CONV], [tensor])


def test_a_length_of_ten_gigabytes_is_refused(tmp_path: Path) -> None:
    length = bytes([0x80, 0xC8, 0xAF, 0xA0, 0x25])  # 10**10
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08\x3a" + length + bytes(100))
    assert "the field at byte 2 claims 10,000,000,000 bytes" in within(tmp_path / "a.onnx", "onnx")


def field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


@pytest.mark.parametrize(
    "number", [1, *(pytest.param(other, marks=pytest.mark.slow) for other in (5, 11, 13, 14))]
)
def test_many_empty_messages_take_no_memory(number: int, tmp_path: Path) -> None:
    empty = field(number, b"") * (MOST_FIELDS + 1)
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08" + field(7, empty))
    assert f"more than {MOST_FIELDS:,} fields" in within(tmp_path / "a.onnx", "onnx", 2**26)


def test_numbers_of_one_byte_are_counted_as_eight(tmp_path: Path) -> None:
    tensor = field(8, b"w") + field(7, bytes(8 * MOST_FIELDS + 8))
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08" + field(7, field(5, tensor)))
    assert f"more than {MOST_FIELDS:,} fields" in within(tmp_path / "a.onnx", "onnx", 2**26)


def test_deep_graphs_are_refused(tmp_path: Path) -> None:
    graph = b""
    for _ in range(1000):
        graph = field(1, field(5, field(6, graph)))  # in an attribute of a node
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08" + field(7, graph))
    with pytest.raises(DataError, match="its messages are nested more than 50 deep"):
        read(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("nodes", "tensors", "message"),
    [
        (
            [
                helper.make_node("Conv", ["b", "w"], ["a"], name="one"),
                helper.make_node("Relu", ["a"], ["b"]),
            ],
            ["w"],
            r"the node one \(Conv\) reads b, which nothing before it computes",
        ),
        ([helper.make_node("Identity", ["y"], ["y"])], ["w"], "reads y, which nothing"),
        ([CONV], ["w", "w"], "it has two tensors with the name w"),
        ([CONV, CONV], ["w"], "its value y is computed twice"),
        ([helper.make_node("Conv", ["x", "w"], ["w"])], ["w"], "its value w is computed twice"),
        ([helper.make_node("Conv", ["x", "w"], [])], ["w"], "has no output"),
        ([helper.make_node("Transpose", ["w"], ["y"], perm=[0, 7])], ["w"], "transposes w by"),
        ([helper.make_node("Gemm", ["x", "w"], ["y"])], ["w"], r"has the shape \[4, 3, 1, 1\]"),
        (
            [helper.make_node("Relu", ["x"], ["y"], name="\x1b[2J"), CONV],
            ["w"], r"value y is computed twice",
        ),
        ([helper.make_node("Conv", ["\x1b/../", "w"], ["y"])], ["w"], r"reads \\u001b/\.\./"),
    ],
)  # fmt: skip
def test_graphs_that_are_no_graphs_are_refused(
    nodes: list[Any], tensors: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        layers(tmp_path, nodes, [stored(name, 4, 3, 1, 1) for name in tensors])
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("node", "tensor", "message"),
    [
        (CONV, helper.make_tensor("w", TensorProto.INT8, [1], [1]), "not of a floating-point type"),
        (
            helper.make_node("Gemm", ["x", "w"], ["y"], transA=1, name="g"),
            stored("w", 4, 5), "the node g .* transposes its input",
        ),
        (
            helper.make_node("Gemm", ["x", "w", "w"], ["y"], name="g"),
            stored("w", 4, 5), "the bias of the node g .* has 20 values",
        ),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_read_are_named(
    node: Any, tensor: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        layers(tmp_path, [node], [tensor])


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.onnx")
    with pytest.raises(DataError, match="cannot read weights from"):
        read(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Gemm", "alpha", [1]),
        ("Gemm", "alpha", stored("t", 1)),
        ("Gemm", "transB", 1.0),
        ("BatchNormalization", "epsilon", [1]),
        ("Transpose", "perm", 1),
        ("Constant", "value", 1.0),
    ],
)
def test_attributes_of_another_type_are_refused(
    kind: str, name: str, value: Any, tmp_path: Path
) -> None:
    inputs = {"Constant": [], "Transpose": ["w"]}.get(kind, ["x", "w", "v", "v", "v"])
    node = helper.make_node(kind, inputs[: 3 if kind == "Gemm" else 5], ["y"], **{name: value})
    with pytest.raises(DataError, match=f"the attribute {name} of the node y .* another type"):
        layers(tmp_path, [node], [stored("w", 3, 3), stored("v", 3)])


def test_operators_of_others_may_have_such_attributes(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], domain="own", perm=1),
        helper.make_node("Pad", ["x"], ["p"], value=0.0, pads=[0] * 8),
        helper.make_node("Conv", ["p", "w"], ["y"]),
    ]
    assert [layer.kind for layer in layers(tmp_path, nodes, [stored("w", 4, 3, 3, 3)])] == ["conv"]

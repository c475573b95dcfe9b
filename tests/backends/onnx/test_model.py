from __future__ import annotations

import onnx
import pytest
import torch
from onnx import TensorProto, load_from_string
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from torch import Tensor, fx

import netspec
from netspec import DataError
from netspec.backends.onnx import model as onnx_backend
from netspec.export import onnx_bytes
from netspec.ir.ops.softmax import Softmax
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model
from netspec.runtime.verification import random_images, tolerance
from tests.backends.onnx.helpers import (
    assert_exact,
    compiled,
    example,
    images_for,
    kinds,
    run,
)


@pytest.mark.parametrize(
    "spec",
    [
        "lenet5",
        "lenet5_rbf",
        "cifar4",
        "nin",
        "nin_cifar10",
        pytest.param("alexnet", marks=pytest.mark.slow),
        "googlenet",
        pytest.param("inception_v3", marks=pytest.mark.slow),  # in its parts as googlenet
    ],
)
def test_a_bundled_spec_agrees_with_onnx_runtime(spec: str) -> None:
    model = compiled(spec)
    inputs = [image.float() for image in random_images(model.net, batch=2)]
    graph, allowed = model.net.graph, tolerance(model.net, torch.float32)
    content = load_from_string(onnx_bytes(model))
    (last,) = graph.outputs
    if isinstance(graph.stage(last).op, Softmax):
        # its relative error depends on how large its input is: the input becomes an output too
        last = graph.operands(last)[0]
        content.graph.output.extend(v for v in content.graph.value_info if v.name == last)
    *probabilities, y = run(content.SerializeToString(), inputs)
    wanted = exact(model, last, inputs)
    assert (y - wanted).norm() <= allowed * wanted.norm()
    for p in probabilities:
        z = y.double().softmax(1)
        assert (p - z).norm() <= allowed * z.norm()


def exact(model: Model, stage: str, inputs: list[Tensor]) -> Tensor:
    """The value of a stage in float64."""
    twin = Model(model.net, {key: t.double() for key, t in model.state_dict().items()})
    features = fx.GraphModule(twin, lower(model.net.graph, outputs=[stage]))
    with torch.no_grad():
        value: Tensor = features(*(image.double() for image in inputs))
    return value


@pytest.mark.parametrize(
    ("spec", "lrn"),
    [pytest.param("alexnet", 4, marks=pytest.mark.slow), ("googlenet", 2), ("cifar4", 2)],
)
def test_lrn_is_onnx_s_own_in_a_whole_net(spec: str, lrn: int) -> None:
    operators = kinds(onnx_bytes(netspec.reference(spec)))
    assert operators.count("LRN") == lrn
    assert "Pow" not in operators


def test_names_types_and_origin_are_the_net_s() -> None:
    model = netspec.reference("lenet5")
    content = load_from_string(onnx_bytes(model))
    graph = content.graph
    assert [value.name for value in graph.input] == ["image"] == model.net.graph.inputs
    assert [value.name for value in graph.output] == ["out.softmax"] == model.net.graph.outputs
    assert {t.name for t in graph.initializer if "/" not in t.name} == {*model.state_dict()}
    assert [o.version for o in content.opset_import] == [17]
    assert (content.producer_name, content.producer_version) == ("netspec", netspec.__version__)
    assert content.doc_string == "Gradient-based learning applied to document recognition (1998)"
    assert graph.name == "lenet5"
    stages = {s.name for s in model.net.graph.stages()} - {"image", "out.softmax"}
    assert {value.name for value in graph.value_info} == stages


def sizes(value: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_the_batch_is_open_or_fixed() -> None:
    model = netspec.reference("lenet5")
    (image,) = load_from_string(onnx_bytes(model)).graph.input
    assert sizes(image) == ["N", 1, 32, 32]
    fixed = onnx_bytes(model, batch=2)
    (out,) = load_from_string(fixed).graph.output
    assert sizes(out) == [2, 10]
    inputs = images_for(model, 2)
    assert torch.equal(run(fixed, inputs)[0], run(onnx_bytes(model), inputs)[0])
    with pytest.raises(InvalidArgument, match="Expected: 2"):
        run(fixed, images_for(model, 3))


def test_heads_and_dropout_are_left_out_in_training_mode_too() -> None:
    rows = "a: conv 1x1, 4\nb: dropout 0.5 | fc 2\nhead h from a, weight=1: fc 3"
    model = example(rows).train()
    content = onnx_bytes(model)
    names = {t.name for t in load_from_string(content).graph.initializer}
    assert names == {"a.weight", "a.bias", "b.weight", "b.bias"}
    assert model.training
    inputs = images_for(model, 2)
    assert_exact(model, run(content, inputs), inputs)


def test_several_inputs_and_outputs_keep_their_order_and_names() -> None:
    header = "net example\ninput right 4x4x2\ninput left 4x4x2\ninput row 5\n"
    rows = "b from right, left: concat\na from left: relu\nc from row: fc 3\noutput c, b, a"
    model = compiled(netspec.loads(header + rows))
    content = onnx_bytes(model)
    graph = load_from_string(content).graph
    assert [value.name for value in graph.input] == ["right", "left", "row"]
    assert [value.name for value in graph.output] == model.net.graph.outputs
    inputs = images_for(model, 2)
    outputs = run(content, inputs)
    assert [list(y.shape) for y in outputs] == [[2, 3], [2, 4, 4, 4], [2, 2, 4, 4]]
    assert_exact(model, outputs, inputs)


@pytest.mark.parametrize(
    "rows",
    [
        "a: identity",  # the input itself
        "a: conv 1x1, 2 | dropout 0.5",  # under the name of what computes nothing
        "a: conv 1x1, 2\nb from a: dropout 0.5\nc from a: identity\noutput a, b, c",
        "a: relu\nb from a: abs if off\noutput image, b, a",
    ],
)
def test_outputs_that_compute_nothing_have_their_names(rows: str) -> None:
    model = example(rows)
    content = onnx_bytes(model)
    named = [value.name for value in load_from_string(content).graph.output]
    assert named == model.net.graph.outputs
    inputs = images_for(model, 2)
    assert_exact(model, run(content, inputs), inputs)


def test_a_stage_called_like_a_parameter_gives_way() -> None:
    rows = "block odd = { weight: conv 1x1, 6 | relu\nbias: conv 1x1, 6 }\na: odd | conv 1x1, 3"
    model = example(rows)
    assert {"a.weight", "a.bias"} <= {*model.state_dict()} & set(model.net.graph.nx)
    content = onnx_bytes(model)
    inputs = images_for(model, 2)
    assert_exact(model, run(content, inputs), inputs)


def test_the_net_s_type_is_the_file_s() -> None:
    for dtype, element in ((torch.float16, TensorProto.FLOAT16), (torch.float64, 11)):
        graph = load_from_string(onnx_bytes(example("a: conv 3x3, 4 | lrn 3", dtype))).graph
        values = [*graph.input, *graph.output]
        assert {value.type.tensor_type.elem_type for value in values} == {element}
        assert {t.data_type for t in graph.initializer} == {element}


def test_bfloat16_is_refused_in_words() -> None:
    with pytest.raises(DataError, match=r"example is in bfloat16.*float32 or float16"):
        onnx_bytes(example("a: conv 3x3, 4", torch.bfloat16))


def test_parameters_that_no_file_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = example("a: fc 5")
    monkeypatch.setattr(onnx_backend, "HOLDS_AT_MOST", 5 * (9 * 8 * 6 + 1) * 4)
    assert onnx_bytes(model)
    monkeypatch.setattr(onnx_backend, "HOLDS_AT_MOST", 5 * (9 * 8 * 6 + 1) * 4 - 1)
    with pytest.raises(DataError, match=r"parameters of example take .* GiB"):
        onnx_bytes(model)


def test_the_same_model_gives_the_same_bytes() -> None:
    assert onnx_bytes(example("a: conv 3x3, 4")) == onnx_bytes(example("a: conv 3x3, 4"))

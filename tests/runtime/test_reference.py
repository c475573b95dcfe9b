from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import fx, nn

import netspec
from netspec.ir.parameter_names import RESERVED
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model
from tests.helpers import HEADER, load_rows


def test_parameters_are_named_after_rows_branches_and_operators() -> None:
    names = set(netspec.reference("googlenet").state_dict())
    assert {"3a.b2.conv2.weight", "conv1.bias", "3a.b1.weight", "aux1.fc2.weight"} <= names
    assert {"C1.weight", "S2.coefficient"} <= set(netspec.reference("lenet5").state_dict())


def test_shapes_of_parameters_are_those_of_pytorch() -> None:
    state = netspec.reference("alexnet").state_dict()
    assert state["C2.weight"].shape == (256, 48, 5, 5)
    assert state["F6.weight"].shape == (4096, 9216)


def test_a_model_is_a_graph_module_of_plain_torch_operations() -> None:
    model = netspec.reference("lenet5")
    assert isinstance(model, fx.GraphModule)
    assert "torch.conv2d" in model.C1.code
    targets = [n.target for m in model.modules() if hasattr(m, "graph") for n in m.graph.nodes]
    assert not any(getattr(t, "__module__", "").startswith("netspec") for t in targets)


def test_maps_are_channels_last() -> None:
    model = netspec.reference("alexnet")
    assert model.C2.weight.is_contiguous(memory_format=torch.channels_last)
    assert "image.contiguous(memory_format = torch.channels_last)" in model.code
    y = model.features("C1")(torch.rand(2, 3, 224, 224))
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_training_returns_the_heads_and_evaluation_drops_them_with_dropout() -> None:
    net = load_rows("a: conv 1x1, 4\nb: dropout 0.5 | fc 2\nhead h from a, weight=1: fc 3")
    model = netspec.reference(net)
    x = torch.rand(4, 3, 8, 8)
    assert not model.training
    assert torch.equal(model(x), model(x))
    assert model(x).shape == (4, 2)
    model.train()
    first, heads = model(x)
    second, _ = model(x)
    assert {name: y.shape for name, y in heads.items()} == {"h": (4, 3)}
    assert not torch.equal(first, second)
    assert model.eval()(x).shape == (4, 2)
    assert "dropout" not in model.code


def test_gradients_reach_every_parameter_in_training() -> None:
    model = netspec.reference("googlenet").train()
    y, heads = model(torch.rand(1, 3, 224, 224))
    loss = -(y[0, 0].log() + sum(0.3 * h[0, 0].log() for h in heads.values()))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_batch_norm_learns_its_statistics_in_training_only() -> None:
    model = netspec.reference(load_rows("a: bn eps=1e-3"))
    x = torch.rand(4, 3, 8, 8) + 5
    model(x)
    assert torch.equal(model.a.running_mean, torch.zeros(3))
    model.train()(x)
    assert (model.a.running_mean > 0.4).all()
    assert {"a.running_mean", "a.running_var"} <= set(model.state_dict())


def test_features_are_the_activations_of_a_row() -> None:
    model = netspec.reference("alexnet")
    x = torch.rand(2, 3, 224, 224)
    assert model.features("F7")(x).shape == (2, 4096)
    pool, conv = model.features("S5", "C1.relu")(x)
    assert (pool.shape, conv.shape) == ((2, 256, 6, 6), (2, 96, 55, 55))
    assert torch.equal(model.features("F8")(x), model(x))
    with pytest.raises(KeyError, match="did you mean `F7`"):
        model.features("F77")


def test_features_share_the_parameters() -> None:
    model = netspec.reference("lenet5")
    features = model.features("C1")
    x = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        model.C1.weight.zero_()
        model.C1.bias.fill_(3)
    assert (features(x) == 3).all()


def test_several_inputs_and_outputs() -> None:
    header = "net two\ninput left 8x8x3\ninput code 5\n"
    net = load_rows(
        "a from left: gap | flatten\nb from a, code: concat\nc: fc 2\noutput c, a", header
    )
    c, a = netspec.reference(net)(torch.rand(2, 3, 8, 8), torch.rand(2, 5))
    assert (c.shape, a.shape) == ((2, 2), (2, 3))


def test_wrong_inputs_are_refused_clearly() -> None:
    model = netspec.reference("lenet5")
    with pytest.raises(ValueError, match=r"image as \[N, 1, 32, 32\], not \[2, 3, 32, 32\]"):
        model(torch.rand(2, 3, 32, 32))
    with pytest.raises(ValueError, match=r"takes image, but was called with 2"):
        model(torch.rand(2, 1, 32, 32), torch.rand(1))


def test_an_empty_batch_is_fine() -> None:
    assert netspec.reference("lenet5")(torch.rand(0, 1, 32, 32)).shape == (0, 10)


def test_the_same_seed_gives_the_same_weights_in_every_type() -> None:
    a = netspec.reference("lenet5", seed=5).state_dict()
    b = netspec.reference("lenet5", seed=5, dtype=torch.float64).state_dict()
    c = netspec.reference("lenet5", seed=6).state_dict()
    assert all(torch.equal(a[name], b[name].float()) for name in a)
    assert not torch.equal(a["C1.weight"], c["C1.weight"])


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_copy_computes_the_same_and_is_apart(way: str) -> None:
    model = netspec.reference("googlenet").train()
    copied: Model = copy.deepcopy(model) if way == "deepcopy" else pickle.loads(pickle.dumps(model))
    assert isinstance(copied, Model)
    assert copied.training
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(copied.eval()(x), model.eval()(x))
        copied.conv1.weight.zero_()
        assert model.conv1.weight.abs().sum() > 0


def test_torch_export_and_compile_take_the_model() -> None:
    model = netspec.reference("lenet5")
    x = torch.rand(2, 1, 32, 32)
    exported = torch.export.export(model, (x,)).module()
    assert torch.equal(exported(x), model(x))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), model(x))


@pytest.mark.parametrize(
    "label",
    [
        "eval",
        "eval_",
        "type",
        "forward",
        "weight",
        "3a",
        "_parameters",
        "graph",
        "x__",
        "class",
        "None",
        "self",
        "__init__",
        "torch",
    ],
)
def test_any_label_can_hold_parameters(label: str) -> None:
    rows = f"{label}: conv 1x1, 4\nz: concat {{ conv 1x1, 2; conv 1x1, 3 }}"
    model = netspec.reference(netspec.loads(HEADER + rows))
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 5, 8, 8)
    assert len(model.state_dict()) == 6
    model.train().eval().double()


@pytest.mark.parametrize("name", ["self", "class", "torch", "getattr", "inf", "input_1"])
def test_any_input_can_be_named(name: str) -> None:
    net = netspec.loads(f"net a\ninput {name} 8x8x3\nb: conv 1x1, 4")
    assert netspec.reference(net)(torch.rand(1, 3, 8, 8)).shape == (1, 4, 8, 8)


def test_reserved_words_are_all_that_this_pytorch_has() -> None:
    names = {n for n in dir(fx.GraphModule(nn.Module(), fx.Graph())) if not n.startswith("__")}
    assert names <= RESERVED
    assert {n for n in dir(Model) if not n.startswith("__")} <= RESERVED


def test_a_stage_with_parameters_has_an_activation_of_its_own() -> None:
    model = netspec.reference("alexnet")
    x = torch.rand(1, 3, 224, 224)
    assert (model.features("C1.conv")(x) < 0).any()
    assert (model.features("C1.relu")(x) >= 0).all()


def test_other_types_are_refused_clearly() -> None:
    model = netspec.reference("lenet5")
    with pytest.raises(
        TypeError, match=r"lenet5 is in torch\.float32, but image is in torch\.float64"
    ):
        model(torch.rand(1, 1, 32, 32, dtype=torch.float64))
    with pytest.raises(TypeError, match="as a tensor, not list"):
        model([1.0])
    assert model(image=torch.rand(1, 1, 32, 32)).shape == (1, 10)


def test_labels_that_differ_by_an_underscore_keep_apart() -> None:
    net = load_rows("eval: conv 1x1, 4\neval_: conv 1x1, 5")
    assert sorted(netspec.reference(net).state_dict()) == [
        "eval_.bias", "eval_.weight", "eval__.bias", "eval__.weight"
    ]  # fmt: skip


def test_a_net_that_cannot_fit_the_memory_is_refused_at_once() -> None:
    net = load_rows("a: fc 2**50")
    with pytest.raises(MemoryError, match=r"parameters of example take .* GiB"):
        netspec.reference(net)


def test_inference_reads_no_parameters_of_heads() -> None:
    net = load_rows("a: conv 1x1, 4\nhead h from a, weight=1: fc 3")
    names = [n.op for n in lower(net.graph).nodes]
    assert names.count("get_attr") == 2
    assert [n.op for n in lower(net.graph, training=True).nodes].count("get_attr") == 4

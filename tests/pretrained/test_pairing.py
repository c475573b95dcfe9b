from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netspec
from netspec.pretrained.layers import Layer, Weights
from netspec.pretrained.pairing import Unpaired, by_structure
from netspec.pretrained.pairs import Pairing
from tests.pretrained.examples import CONCRETE, layer_like, trained, weights_of

HELD_OUT = {
    "a projection that a file defines last": """
        net a
        default bn eps=1e-3
        block c(k) = conv k, 8, pad=half, bias=off | bn
        input image 8x8x4
        R1: add { c 3x3 | relu | c 3x3; c 1x1 } | relu
        R2: add { c 3x3 | relu | c 3x3; identity } | relu
        F3: gap | fc 5
    """,
    "a head in the middle": """
        net a
        input image 8x8x4
        C1: conv 3x3, 4, pad=1 | relu
        C2: conv 3x3, 4, pad=1 | relu
        F3: fc 5
        head aux from C1, weight=0.3: fc 5
    """,
    "branches of equal shape": """
        net a
        input image 8x8x4
        C1: concat { conv 1x1, 4; conv 1x1, 4; conv 3x3, 4, pad=1 }
        F2: fc 5
    """,
    "groups with the shape of fewer channels": """
        net a
        input image 8x8x4
        C1: conv 3x3, 4, pad=1, groups=2 | relu
        C2: conv 1x1, 2 | relu
        C3: conv 3x3, 4, pad=1
    """,
}  # fmt: skip
"""Nets in which the order of layers is not that of execution in some frameworks."""


def require_right_or_uncertain(pairing: Pairing, stages: dict[str, str]) -> int:
    wrong = [pair for pair in pairing.pairs if stages[pair.layer.name] != pair.stage]
    assert not [pair for pair in wrong if pair.is_certain]
    for pair in wrong:
        assert stages[pair.layer.name] in pair.rivals
    return len(wrong)


@pytest.mark.parametrize("name", CONCRETE)
def test_bundled_nets_with_other_names_are_paired_right_or_listed(name: str) -> None:
    net = netspec.load(name)
    weights, stages = weights_of(net)
    pairing = by_structure(net, weights)
    assert require_right_or_uncertain(pairing, stages) == 0  # the order is that of execution
    assert len(pairing.pairs) == len(trained(net))
    assert (pairing.without, pairing.unused) == ((), ())
    shuffled, stages = weights_of(net, seed=7)
    require_right_or_uncertain(by_structure(net, shuffled), stages)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", HELD_OUT)
def test_other_orders_are_paired_right_or_listed(name: str, seed: int) -> None:
    net = netspec.loads(HELD_OUT[name])
    weights, stages = weights_of(net, seed=seed)
    require_right_or_uncertain(by_structure(net, weights), stages)


def test_the_order_of_a_file_decides_between_equal_shapes_and_says_so() -> None:
    net = netspec.loads(HELD_OUT["branches of equal shape"])
    weights, _ = weights_of(net)
    reasons = {pair.stage: (pair.reason, pair.rivals) for pair in by_structure(net, weights).pairs}
    assert reasons == {
        "C1.b1": ("order", ("C1.b2",)),
        "C1.b2": ("order", ("C1.b1",)),
        "C1.b3": ("shape", ()),
        "F2": ("shape", ()),
    }


def test_a_head_may_be_without_layers_and_is_a_rival() -> None:
    net = netspec.loads(HELD_OUT["a head in the middle"])
    weights, stages = weights_of(net)
    (head,) = [name for name, stage in stages.items() if stage == "aux"]
    left = Weights(Path("a"), "pytorch", tuple(one for one in weights.layers if one.name != head))
    pairing = by_structure(net, left)
    assert pairing.without == ("aux",)
    require_right_or_uncertain(pairing, stages)


@pytest.mark.parametrize("change", ["missing", "double"])
@pytest.mark.parametrize("name", ["lenet5", "resnet18", "vgg11"])
def test_a_wrong_number_of_layers_names_rows_and_shape(name: str, change: str) -> None:
    net = netspec.load(name)
    weights, stages = weights_of(net)
    first = weights.layers[0]
    layers = weights.layers[1:] if change == "missing" else (first, *weights.layers)
    with pytest.raises(Unpaired) as caught:
        by_structure(net, Weights(Path("a.pth"), "pytorch", layers))
    shape = "x".join(map(str, first.tensors["weight"].shape))
    assert stages[first.name] in str(caught.value)
    assert shape in str(caught.value)


def test_layers_that_no_row_takes_are_listed_as_unused() -> None:
    net = netspec.load("lenet5")
    weights, _ = weights_of(net)
    extra = Layer("extra", "fc", {"weight": torch.zeros(3, 7)}, {"weight": "extra.weight"})
    pairing = by_structure(net, Weights(Path("a"), "pytorch", (*weights.layers, extra)))
    assert [layer.name for layer in pairing.unused] == ["extra"]


def test_normalisations_that_were_folded_are_made_again() -> None:
    net = netspec.loads(HELD_OUT["a projection that a file defines last"])
    layers = []
    for stage in trained(net):
        if stage.op.name == "conv":
            layer = layer_like(net, stage.name, stage.name)
            count = layer.tensors["weight"].shape[0]
            tensors = {**layer.tensors, "bias": torch.arange(float(count))}
            layers.append(Layer(layer.name, "conv", tensors, {"weight": "w", "bias": "b"}))
        elif stage.op.name == "fc":
            layers.append(layer_like(net, stage.name, stage.name))
    pairing = by_structure(net, Weights(Path("a"), "onnx", tuple(layers)))
    assert [pair.stage for pair in pairing.pairs] == [stage.name for stage in trained(net)]
    norm = next(pair for pair in pairing.pairs if pair.stage.endswith("bn1"))
    value = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    kept = {role: tensor.double() for role, tensor in norm.layer.tensors.items()}
    made = torch.nn.functional.batch_norm(
        value, kept["running_mean"], kept["running_var"], kept["weight"], kept["bias"],
        eps=float(getattr(net.graph.stage(norm.stage).op, "eps")),  # noqa: B009
    )  # fmt: skip
    expected = value + torch.arange(8.0).double().view(8, 1, 1)
    torch.testing.assert_close(made, expected, rtol=1e-6, atol=1e-6)  # the scale is a float32

from __future__ import annotations

from math import prod

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec.ir.ops import OPERATORS
from netspec.pretrained.layers import Layer, kind_of
from netspec.pretrained.layouts import (
    TAKEN,
    Misfit,
    counts_of_stage,
    fitted,
    form_of_layer,
    form_of_stage,
    shapes_of,
    unfolded,
)
from tests.examples import examples
from tests.helpers import loaded, some_by_default
from tests.pretrained.examples import CONCRETE, layer_like, trained


def layer(flattened: str = "chw", kind: str = "", **tensors: torch.Tensor) -> Layer:
    names = {role: role for role in tensors}
    return Layer("l", kind or kind_of(tensors), tensors, names, flattened)


def ones(kind: str = "", **shapes: tuple[int, ...]) -> Layer:
    return layer(kind=kind, **{role: torch.ones(shape) for role, shape in shapes.items()})


# ------------------------------------------------------------------------- fc and convolutions

sizes = st.integers(1, 4)


@given(sizes, sizes, sizes, sizes)
def test_an_fc_that_was_flattened_as_h_w_c_is_reordered(h: int, w: int, c: int, n: int) -> None:
    net = netspec.loads(f"net a\ninput image {h}x{w}x{c}\nF1: fc {n}\n")
    weight = torch.randn(n, h * w * c, dtype=torch.float64)
    image = torch.randn(2, c, h, w, dtype=torch.float64)
    for flattened, values in (("hwc", image.permute(0, 2, 3, 1)), ("chw", image)):
        own = fitted(layer(flattened, weight=weight, bias=torch.zeros(n)), net, "F1")["weight"]
        ours = F.linear(image.flatten(1), own)
        torch.testing.assert_close(ours, F.linear(values.flatten(1), weight))


@given(sizes, sizes, sizes, sizes, st.sampled_from(["chw", "hwc"]))
def test_an_fc_is_a_convolution_over_its_map(
    h: int, w: int, c: int, n: int, flattened: str
) -> None:
    net = netspec.loads(f"net a\ninput image {h + 1}x{w}x{c}\nF1: conv {h}x{w}, {n}\n")
    weight = torch.randn(n, h * w * c, dtype=torch.float64)
    own = fitted(layer(flattened, weight=weight, bias=torch.zeros(n)), net, "F1")["weight"]
    image = torch.randn(2, c, h + 1, w, dtype=torch.float64)
    ours = F.conv2d(image, own)
    for top in range(2):
        part = image[:, :, top : top + h]
        values = part if flattened == "chw" else part.permute(0, 2, 3, 1)
        torch.testing.assert_close(ours[:, :, top, 0], F.linear(values.flatten(1), weight))


@given(sizes, sizes, sizes, sizes, st.sampled_from(["fc {}", "flatten | dropout 0.5 | fc {}"]))
def test_a_convolution_over_its_map_is_an_fc(h: int, w: int, c: int, n: int, row: str) -> None:
    net = netspec.loads(f"net a\ninput image {h}x{w}x{c}\nF1: {row.format(n)}\n")
    weight = torch.randn(n, c, h, w, dtype=torch.float64)
    own = fitted(layer(weight=weight, bias=torch.zeros(n)), net, trained(net)[0].name)["weight"]
    image = torch.randn(2, c, h, w, dtype=torch.float64)
    torch.testing.assert_close(F.linear(image.flatten(1), own), F.conv2d(image, weight).flatten(1))


FLATTENED = """
net a
input image 2x3x4
R1: flatten | bn eps=1e-3 | relu
D2: dropout 0.5
F3: fc 24 | relu
F4: fc 5
"""


def test_what_follows_a_flattening_is_reordered_up_to_the_first_fc() -> None:
    """As Keras has it: Flatten, BatchNormalization, ReLU, Dropout, Dense, Dense."""
    net = netspec.loads(FLATTENED)
    generator = torch.Generator().manual_seed(1)

    def values(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5

    roles = ("running_mean", "running_var", "weight", "bias")
    norm = {role: values(24) for role in roles}
    first = {"weight": values(24, 24), "bias": values(24)}
    last = {"weight": values(5, 24), "bias": values(5)}
    image = values(2, 4, 2, 3)

    def computed(x: torch.Tensor, *parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        one, two, three = parameters
        x = F.batch_norm(x, *(one[role] for role in roles), eps=1e-3).relu()
        return F.linear(F.linear(x, two["weight"], two["bias"]).relu(), **three)

    theirs = computed(image.permute(0, 2, 3, 1).flatten(1), norm, first, last)
    own = [
        fitted(layer("hwc", **tensors), net, stage)
        for tensors, stage in ((norm, "R1"), (first, "F3"), (last, "F4"))
    ]
    torch.testing.assert_close(computed(image.flatten(1), *own), theirs)
    assert torch.equal(own[1]["bias"], first["bias"])  # of its outputs, which were never a map
    assert torch.equal(own[2]["weight"], last["weight"])


def test_flattened_maps_that_are_joined_cannot_be_reordered() -> None:
    net = netspec.loads(
        "net a\ninput image 2x2x3\nC1: concat { flatten; flatten | relu }\nF2: fc 5"
    )
    with pytest.raises(Misfit, match=r"F2 reads flattened maps that C1\.concat combines"):
        fitted(layer("hwc", weight=torch.ones(5, 24), bias=torch.ones(5)), net, "F2")
    fitted(layer("chw", weight=torch.ones(5, 24), bias=torch.ones(5)), net, "F2")
    pooled = netspec.loads("net a\ninput image 2x2x3\nC1: concat { gap; gmp } | flatten\nF2: fc 5")
    weight = torch.randn(5, 6)
    got = fitted(layer("hwc", weight=weight, bias=torch.ones(5)), pooled, "F2")
    assert torch.equal(got["weight"], weight)


NET = """
net a
input image 4x4x3
C1: conv 3x3, 8, pad=1
N2: bn eps=1e-3
C3: conv 3x3, 8, pad=1, bias=off
C4: conv 1x1, 8, groups=2
D5: deconv 3x3, 8, pad=1
L6: ln eps=1e-3
G7: gain 1
P8: prelu
V9: flatten
F10: fc 5
"""


@pytest.mark.parametrize(
    ("stage", "given_", "message"),
    [
        ("C1", ones(weight=(8, 3, 5, 5)), "the weight of l is 8x3x5x5, and C1 expects 8x3x3x3"),
        ("C1", ones(weight=(3, 8, 3, 3)), "3x8x3x3, and C1 expects 8x3x3x3"),
        ("C1", ones(weight=(8, 3, 3, 3), bias=(4,)), "the bias of l is 4, and C1 expects 8"),
        ("C1", ones(weight=(8, 3, 3, 3), scale=(8,)), "l has a scale, and C1 does not"),
        ("C1", ones("deconv", weight=(8, 3, 3, 3)), "the kind deconv, and C1 is a conv"),
        ("C3", ones(weight=(8, 8, 3, 3), bias=(8,)), "l has a bias, and C3 does not"),
        ("C4", ones(weight=(8, 4)), "the weight of l is 8x4, and C4 expects 8x4x1x1"),
        ("D5", ones("fc", weight=(8, 72)), "the kind fc, and D5 is a deconv"),
        ("F10", ones(weight=(5, 64)), "5x64, and F10 expects 5x128"),
        ("F10", ones(weight=(5, 8, 2, 8)), "5x8x2x8, and F10 expects 5x128"),
        ("F10", ones(weight=(5, 128, 1, 1)), "5x128x1x1, and F10 expects 5x128"),
        ("F10", ones(weight=()), "the weight of l is a single number, and F10 expects 5x128"),
        ("N2", ones(weight=(8,), bias=(8,)), "l does not have a running_mean, which N2 needs"),
        ("N2", ones(weight=(4, 2), running_mean=(8,)), "the weight of l is 4x2, and N2 expects 8"),
        ("L6", ones(weight=(8,), running_mean=(8,)), "l has a running_mean, and L6 does not"),
        ("G7", ones("norm", bias=(8,)), "l does not have a weight, which G7 needs"),
        ("P8", ones(weight=(1,)), "the weight of l is 1, and P8 expects 8"),
    ],
)
def test_a_misfit_says_both_shapes(stage: str, given_: Layer, message: str) -> None:
    with pytest.raises(Misfit) as caught:
        fitted(given_, netspec.loads(NET), stage)
    assert message in str(caught.value)


# ------------------------------------------------------------------------------- what is left out


def test_what_a_layer_leaves_out_is_neutral() -> None:
    net = netspec.loads(NET)
    vector = torch.full((8,), 2.0, dtype=torch.float64)
    norm = fitted(layer(running_mean=vector, running_var=vector), net, "N2")
    assert torch.equal(norm["weight"], torch.ones(8, dtype=torch.float64))
    assert torch.equal(norm["bias"], torch.zeros(8, dtype=torch.float64))
    assert torch.equal(fitted(ones(weight=(8, 3, 3, 3)), net, "C1")["bias"], torch.zeros(8))
    kept = fitted(layer(weight=torch.ones(8, 8, 3, 3), bias=torch.zeros(8)), net, "C3")
    assert kept.keys() == {"weight"}
    only_bias = fitted(layer(kind="norm", bias=vector), net, "L6")
    assert torch.equal(only_bias["weight"], torch.ones(8, dtype=torch.float64))
    assert torch.equal(only_bias["bias"], vector)


@pytest.mark.parametrize("shape", [(8,), (8, 1, 1), (1, 8, 1, 1)])
@pytest.mark.parametrize("stage", ["P8", "G7"])
def test_factors_may_have_sizes_of_one_and_any_name(stage: str, shape: tuple[int, ...]) -> None:
    factors = torch.arange(8.0)
    given_ = Layer("l", "other", {"alpha": factors.reshape(shape)}, {})
    assert torch.equal(fitted(given_, netspec.loads(NET), stage)["weight"], factors)


# -------------------------------------------------------------------------- all operators, all nets


TRAINED = sorted(op.name for op in OPERATORS.values() if op.is_trained)


@pytest.mark.parametrize("name", TRAINED)
def test_every_operator_takes_a_layer_of_its_own_shapes(name: str) -> None:
    text = f"net a\ninput image 9x8x6\nA1: {OPERATORS[name].example}\n"
    net = netspec.loads(text)
    for stage in trained(net):
        own = layer_like(net, stage.name, "l")
        values = {role: torch.randn(tensor.shape) for role, tensor in own.tensors.items()}
        got = fitted(Layer("l", own.kind, values, {}), net, stage.name)
        assert {*got} == {*values}
        assert all(torch.equal(got[role], values[role]) for role in values)
        largest = max(tensor.numel() for tensor in values.values())
        assert largest in counts_of_stage(net, stage.name)


def test_the_table_of_kinds_has_operators_with_parameters() -> None:
    assert TAKEN.keys() <= {*TRAINED}
    assert {*TRAINED} - TAKEN.keys() == {"local", "subsample"}  # no framework has these layers


@pytest.mark.parametrize("name", some_by_default(CONCRETE))
def test_stages_of_one_form_take_layers_of_one_form(name: str) -> None:
    net = loaded(name)
    samples: dict[object, Layer] = {}
    for stage in trained(net):
        own = samples.setdefault(form_of_stage(net, stage.name), layer_like(net, stage.name, "l"))
        assert form_of_layer(own) == form_of_layer(layer_like(net, stage.name, "other"))
        got = fitted(own, net, stage.name)
        assert {role: tuple(t.shape) for role, t in got.items()} == shapes_of(net, stage.name)


CONNECTED = """
net a
input image 4x4x3
C1: conv 3x3, 2, pad=1, connect=pairs
connect pairs {
    X.
    XX
    .X
}
"""


def test_a_convolution_of_all_pairs_keeps_those_of_a_connection_table() -> None:
    net = netspec.loads(CONNECTED)
    weight = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    weight[0, 2] = weight[1, 0] = 0
    got = fitted(layer(weight=weight, bias=torch.zeros(2)), net, "C1")
    op, inputs = net.graph.stage("C1").op, net.graph.shapes_into("C1")
    image = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    ours = op.reference(inputs, image, weight=got["weight"], bias=got["bias"].double())
    torch.testing.assert_close(ours, F.conv2d(image, weight, padding=1))
    assert weight.numel() in counts_of_stage(net, "C1")
    weight[1, 0, 2, 2] = 1e-30
    with pytest.raises(
        Misfit, match="kernels other than 0 between maps that the table pairs of C1"
    ):
        fitted(layer(weight=weight, bias=torch.zeros(2)), net, "C1")
    with pytest.raises(Misfit, match="4 of the 2x3 kernels in 2x3x3x3"):
        fitted(layer(weight=torch.zeros(2, 4, 3, 3)), net, "C1")


# ------------------------------------------------------------------------------------------- folds


@examples(60)
@given(st.floats(1e-9, 0.99), st.sampled_from([torch.float16, torch.float32, torch.float64]))
def test_a_folded_normalisation_adds_the_bias_and_changes_nothing_else(
    eps: float, dtype: torch.dtype
) -> None:
    """In float32, which is what is written and computed."""
    weight, bias = torch.randn(4, 3, 3, 3).to(dtype), torch.randn(4).to(dtype)
    conv, norm = unfolded(layer(weight=weight, bias=bias), eps)
    assert torch.equal(conv.tensors["weight"], weight)
    parts = {role: tensor.float() for role, tensor in norm.tensors.items()}
    plain = F.conv2d(torch.randn(2, 3, 5, 5), weight.float())
    made = F.batch_norm(
        plain, parts["running_mean"], parts["running_var"], parts["weight"], parts["bias"], eps=eps
    )
    assert torch.equal(made, plain + bias.float().view(4, 1, 1))


def test_a_folded_normalisation_with_a_large_epsilon_adds_the_bias() -> None:
    bias = torch.randn(4, dtype=torch.float64)
    _, norm = unfolded(layer(weight=torch.ones(4, 3, 1, 1).double(), bias=bias), 7.0)
    x, parts = torch.randn(2, 4, 3, 3, dtype=torch.float64), norm.tensors
    made = F.batch_norm(
        x, parts["running_mean"], parts["running_var"], parts["weight"], parts["bias"], eps=7.0
    )
    torch.testing.assert_close(made, x + bias.view(4, 1, 1))


def test_roles_of_a_fold_are_those_of_the_file() -> None:
    conv, norm = unfolded(layer(weight=torch.ones(4, 3, 1, 1), bias=torch.ones(4)), 1e-3)
    assert conv.names == {"weight": "weight"}
    assert {*norm.names.values()} == {"bias"}
    assert prod(norm.tensors["running_var"].shape) == 4

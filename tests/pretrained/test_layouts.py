from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec.pretrained.layers import Layer, kind_of
from netspec.pretrained.layouts import Misfit, fitted, unfolded
from tests.pretrained.examples import CONCRETE, layer_like, trained


def layer(flattened: str = "chw", **tensors: torch.Tensor) -> Layer:
    return Layer("l", kind_of(tensors), tensors, {role: role for role in tensors}, flattened)


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


@given(sizes, sizes, sizes, sizes)
def test_a_convolution_over_its_map_is_an_fc(h: int, w: int, c: int, n: int) -> None:
    net = netspec.loads(f"net a\ninput image {h}x{w}x{c}\nF1: fc {n}\n")
    weight = torch.randn(n, c, h, w, dtype=torch.float64)
    own = fitted(layer(weight=weight, bias=torch.zeros(n)), net, "F1")["weight"]
    image = torch.randn(2, c, h, w, dtype=torch.float64)
    torch.testing.assert_close(F.linear(image.flatten(1), own), F.conv2d(image, weight).flatten(1))


@pytest.mark.parametrize("name", CONCRETE)
def test_every_stage_takes_a_layer_of_its_own_shapes(name: str) -> None:
    net = netspec.load(name)
    for stage in trained(net):
        own = layer_like(net, stage.name, "l")
        got = fitted(own, net, stage.name)
        assert {role: t.shape for role, t in got.items()} == {
            role: t.shape for role, t in own.tensors.items()
        }


NET = """
net a
input image 4x4x3
C1: conv 3x3, 8, pad=1
N2: bn eps=1e-3
C3: conv 3x3, 8, pad=1, bias=off
P4: prelu
F5: fc 5
"""


def test_what_a_layer_leaves_out_is_neutral() -> None:
    net = netspec.loads(NET)
    norm = fitted(layer(running_mean=torch.ones(8), running_var=torch.ones(8)), net, "N2")
    assert torch.equal(norm["weight"], torch.ones(8))
    assert torch.equal(norm["bias"], torch.zeros(8))
    assert torch.equal(
        fitted(layer(weight=torch.ones(8, 3, 3, 3)), net, "C1")["bias"], torch.zeros(8)
    )
    kept = fitted(layer(weight=torch.ones(8, 8, 3, 3), bias=torch.zeros(8)), net, "C3")
    assert kept.keys() == {"weight"}


@pytest.mark.parametrize("shape", [(8,), (8, 1, 1), (1, 8, 1, 1)])
def test_slopes_may_have_sizes_of_one(shape: tuple[int, ...]) -> None:
    slopes = torch.arange(8.0)
    got = fitted(
        Layer("l", "other", {"alpha": slopes.reshape(shape)}, {}), netspec.loads(NET), "P4"
    )
    assert torch.equal(got["weight"], slopes)


@pytest.mark.parametrize(
    ("stage", "tensors", "message"),
    [
        ("C1", {"weight": (8, 3, 5, 5)}, "the weight of l is 8x3x5x5, and C1 expects 8x3x3x3"),
        ("C1", {"weight": (3, 8, 3, 3)}, "3x8x3x3, and C1 expects 8x3x3x3"),
        ("C1", {"weight": (8, 3, 3, 3), "bias": (4,)}, "the bias of l is 4, and C1 expects 8"),
        ("C3", {"weight": (8, 8, 3, 3), "bias": (8,)}, "l has a bias, and C3 does not"),
        ("F5", {"weight": (5, 64)}, "5x64, and F5 expects 5x128"),
        ("F5", {"weight": (5, 8, 2, 8)}, "5x8x2x8, and F5 expects 5x128"),
        ("N2", {"weight": (8,), "bias": (8,)}, "l does not have a running_mean, which N2 needs"),
        ("C1", {"weight": (8, 3, 3, 3), "scale": (8,)}, "l has a scale, and C1 does not"),
    ],
)
def test_a_misfit_says_both_shapes(
    stage: str, tensors: dict[str, tuple[int, ...]], message: str
) -> None:
    given_ = {role: torch.ones(shape) for role, shape in tensors.items()}
    with pytest.raises(Misfit) as caught:
        fitted(layer(**given_), netspec.loads(NET), stage)
    assert message in str(caught.value)


def test_a_folded_normalisation_adds_the_bias() -> None:
    weight, bias = torch.randn(4, 3, 3, 3).double(), torch.randn(4).double()
    conv, norm = unfolded(layer(weight=weight, bias=bias), 1e-3)
    image = torch.randn(2, 3, 5, 5).double()
    parts = norm.tensors
    made = F.batch_norm(
        F.conv2d(image, conv.tensors["weight"]), parts["running_mean"], parts["running_var"],
        parts["weight"], parts["bias"], eps=1e-3,
    )  # fmt: skip
    torch.testing.assert_close(made, F.conv2d(image, weight, bias), rtol=1e-13, atol=1e-13)

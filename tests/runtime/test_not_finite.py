"""NaN, infinity and overflow: a compiled net is not finite where its reference is not."""

from __future__ import annotations

from functools import cache
from math import inf, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import netspec
from netspec.runtime.causes import NotFiniteError, require_finite_outputs
from netspec.runtime.reference import Model
from netspec.runtime.verification import as_tuple
from tests.backends.cpu.helpers import TYPES
from tests.backends.helpers import RICH, pair

POOLED = """net pooled
input image 8x8x4
a: conv 3x3, 16, pad=1 | relu | maxpool 3x3/2, pad=1
b: add { identity; conv 3x3, 16, pad=1 | bn eps=0.1 | relu } | relu
c: lrn 5, k=1, alpha=0.5 | maxpool 2x2/1
d: concat { avgpool 3x3/1 | conv 1x1, 3 | relu; maxpool 3x3/1 } | relu
e: gap | flatten | fc 6 | relu | fc 5 | softmax
"""
SQUASHED = """net squashed
input image 6x6x2
a: conv 3x3, 8 | sigmoid | subsample 2x2/2, by=sum
b: conv 1x1, 6 | abs | avgpool 2x2/1
c: fc 7 | tanh scale=1.7, slope=0.6 | fc 4 | relu
"""
TWO = """net two
input left 5x5x3
input right 5x5x3
l from left: conv 3x3, 4 | relu
r from right: maxpool 3x3/1
a from l, r: concat | relu
b: maxpool 3x3/1 | flatten
"""
NETS = {text.split()[1]: netspec.loads(text) for text in (RICH, POOLED, SQUASHED)}


@cache
def pair_of(name: str, dtype: torch.dtype) -> tuple[netspec.Compiled, Model]:
    return pair(NETS[name], dtype)


def same_places(y: Tensor, z: Tensor) -> bool:
    return torch.equal(y.isnan(), z.isnan()) and torch.equal(y == inf, z == inf)


def images(net: netspec.Net, dtype: torch.dtype, scale: float = 1.0) -> Tensor:
    (name,) = net.graph.inputs
    generator = torch.Generator().manual_seed(1)
    size = 3, *net.graph.stage(name).known_shape.torch
    return (torch.randn(size, generator=generator, dtype=torch.float64) * scale).to(dtype)


BAD = st.sampled_from([nan, inf, -inf, 3e38, -3e38])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", NETS)
@given(value=BAD, place=st.integers(0, 10**9), exponent=st.integers(-45, 38))
@settings(max_examples=8)
def test_in_the_image(
    name: str, dtype: torch.dtype, value: float, place: int, exponent: int
) -> None:
    model, plain = pair_of(name, dtype)
    for x in (images(NETS[name], dtype), images(NETS[name], dtype, 10.0**exponent)):
        if exponent % 2 or x.abs().max() < 1:
            x.view(-1)[place % x.numel()] = value
        before = x.clone()
        y, z = model(x), plain(x)
        assert same_places(y, z)
        assert torch.equal(x.nan_to_num(), before.nan_to_num())
    y, z = model.features("a", "b", "c")(x), plain.features("a", "b", "c")(x)
    assert all(map(same_places, y, z))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", NETS)
@given(data=st.data(), value=BAD, place=st.integers(0, 10**9))
@settings(max_examples=8)
def test_in_a_parameter(
    name: str, dtype: torch.dtype, data: st.DataObject, value: float, place: int
) -> None:
    model, plain = pair(NETS[name], dtype)
    tensors = plain.state_dict()
    parameter = tensors[data.draw(st.sampled_from(sorted(tensors)))]
    parameter.reshape(-1)  # values are set in place, whatever the strides
    index = tuple(
        int(i)
        for i in torch.unravel_index(torch.tensor(place % parameter.numel()), parameter.shape)
    )
    parameter[index] = value
    model.load_state_dict(tensors)
    back = model.state_dict()
    assert all(torch.equal(back[n].view(torch.uint8), t.contiguous().view(torch.uint8))
               for n, t in tensors.items() if t.dim() == 1)  # fmt: skip
    x = images(NETS[name], dtype)
    assert same_places(model(x), plain(x))
    assert same_places(model(x[:1]), plain(x[:1]))


@given(exponent=st.floats(0, 19), rows=st.sampled_from(["weight", "bias"]))
@settings(max_examples=8)
def test_by_overflow(exponent: float, rows: str) -> None:
    """Weights are large, so that some rows overflow, and others after them make numbers again."""
    model, plain = pair(NETS["pooled"])
    tensors = {n: t * (10.0**exponent if rows in n else 1) for n, t in plain.state_dict().items()}
    for one in (model, plain):
        one.load_state_dict(tensors)
    for scale in (1.0, 1e5, 1e12, 1e30):
        x = images(NETS["pooled"], torch.float32, scale)
        assert same_places(model(x), plain(x))


FOLDED = netspec.loads("""net folded
input image 6x6x4
a: dropout 0.5, scale=test | conv 3x3, 8, bias=off | bn eps=0.1 | relu
b: avgpool 3x3/1 | conv 1x1, 2 | relu
c: fc 4
""")


@pytest.mark.parametrize("dtype", [*TYPES, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("sign", [1, -1])
def test_what_overflows_before_a_folded_normalisation_is_not_finite(
    dtype: torch.dtype, sign: int
) -> None:
    """The normalisation divides by 2^14, so that the folded convolution does not overflow."""
    model, plain = pair(FOLDED, dtype)
    tensors = plain.state_dict()
    tensors["a.conv.weight"].fill_(sign)
    tensors["a.bn.running_var"].fill_(2.0**15)
    tensors["a.bn.weight"].fill_(2.0**-7)
    for one in (model, plain):
        one.load_state_dict(tensors)
    x = torch.full((2, 4, 6, 6), torch.finfo(dtype).max / 8, dtype=dtype)
    assert (plain.get_submodule("a.conv")(x) == sign * inf).all()
    assert same_places(model(x), plain(x))
    assert same_places(model.features("a")(x), plain.features("a")(x))


@pytest.mark.parametrize("dtype", [*TYPES, torch.float16, torch.float64], ids=str)
def test_a_convolution_that_changed_places_with_a_pool_does_not_overflow(
    dtype: torch.dtype,
) -> None:
    net = netspec.loads("net commuted\ninput image 6x6x4\na: avgpool 3x3/1 | conv 1x1, 1 | relu")
    model, plain = pair(net, dtype)
    tensors = plain.state_dict()
    tensors["a.weight"].fill_(-4.0)
    tensors["a.bias"].fill_(torch.finfo(dtype).max / 2)
    for one in (model, plain):
        one.load_state_dict(tensors)
    x = torch.zeros(1, 4, 6, 6, dtype=dtype)
    x[:, :, 2, 2] = torch.finfo(dtype).max / 9  # times -4, four times, is -infinity
    y = plain(x)
    assert (y > 0).all()
    torch.testing.assert_close(model(x), y)


def test_before_a_folded_normalisation() -> None:
    """The convolution overflows; with the small scale folded into its filters it would not."""
    model, plain = pair(NETS["pooled"])
    tensors = plain.state_dict()
    tensors["b.b2.conv.weight"] *= 1e34
    tensors["b.b2.bn.weight"] *= 1e-34
    for one in (model, plain):
        one.load_state_dict(tensors)
    for scale in (1.0, 1e5):
        x = images(NETS["pooled"], torch.float32, scale)
        assert same_places(model(x), plain(x))
        assert model(x).isfinite().all() == (scale == 1)


def test_the_plain_net_answers_as_a_plan_does() -> None:
    model, plain = pair_of("pooled", torch.float32)
    x = images(NETS["pooled"], torch.float32)
    x[1, 2, 3, 4] = nan
    y = model(x.requires_grad_(False))
    assert not y.requires_grad
    assert y[0].isfinite().all()
    assert torch.equal(y.isnan(), plain(x).isnan())
    out = torch.full_like(y, 5.0)
    assert model(x, out=out) is out
    assert torch.equal(out.nan_to_num(7), y.nan_to_num(7))
    with torch.inference_mode():
        assert same_places(model(x), y)
    maps = model.features("b")(x)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert same_places(maps, plain.features("b")(x))
    assert model(x[:0]).shape == (0, 5)


def test_several_inputs_and_outputs() -> None:
    model, plain = pair(netspec.loads(TWO))
    left, right = torch.rand(2, 2, 3, 5, 5).unbind()
    for image in (left, right):
        image[1, 0, 2, 2] = nan
        assert same_places(model(left, right), plain(left, right))
        ends = model.features("a", "b")(left, right)
        wanted = plain.features("a", "b")(left, right)
        assert all(map(same_places, ends, wanted))


def test_values_within_the_limits_run_by_the_plan() -> None:
    model, _ = pair(NETS["pooled"])
    for scale in (0.0, 1e-30, 1.0, 255.0, 65535.0 / 5):
        model(images(NETS["pooled"], torch.float32, scale))
        assert not model.is_unpacked  # which the plain net takes
    model(images(NETS["pooled"], torch.float32, 1e7))
    assert model.is_unpacked


def test_weights_that_are_finite_again_run_by_the_plan() -> None:
    model, plain = pair(NETS["pooled"])
    x = images(NETS["pooled"], torch.float32)
    good = plain.state_dict()
    model.load_state_dict({n: t + nan for n, t in good.items()})
    assert model(x).isnan().all()
    model.load_state_dict(good)
    torch.testing.assert_close(model(x), plain(x))
    assert all(torch.isfinite(torch.tensor(g.limit)) for g in model.refresh().guards)  # type: ignore[attr-defined]


# ----------------------------------------------------------------------------------- what is named


def message(model: netspec.Compiled, x: Tensor) -> str:
    with pytest.raises(NotFiniteError) as caught:
        require_finite_outputs(model, x, as_tuple(model(x))[0])
    return str(caught.value)


def test_the_cause_is_named() -> None:
    model, plain = pair(NETS["pooled"])
    x = images(NETS["pooled"], torch.float32)
    require_finite_outputs(model, x, model(x))
    bad = x.clone()
    bad[2, 3, 1, 0] = -inf
    assert message(model, bad) == (
        "the outputs of pooled are not finite: its input is not finite: image is infinite at "
        "[0, 3, 1, 0], and 1 of its 256 values are NaN or infinite"
    )
    tensors = plain.state_dict()
    tensors["b.b2.conv.weight"] *= 1e36
    model.load_state_dict(tensors)
    assert message(model, x * 1000).startswith(
        "the outputs of pooled are not finite: b.b2.conv is the first row with values outside the "
        "range of float32; its largest input is "
    )
    tensors["e.fc2.bias"][1] = nan
    model.load_state_dict(tensors)
    assert message(model, x) == (
        "the outputs of pooled are not finite: its weights are not finite: e.fc2.bias is NaN at "
        "[1], and 1 of its 5 values are NaN or infinite"
    )


def test_the_image_of_a_batch_is_named() -> None:
    model, _ = pair_of("squashed", torch.float32)
    x = images(NETS["squashed"], torch.float32)
    x[1, 0, 0, 0] = nan
    with pytest.raises(NotFiniteError) as caught:
        require_finite_outputs(model, x, model(x))
    assert caught.value.image == 1

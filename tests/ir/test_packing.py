"""Recipes: what is packed comes back to the last bit."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.ir.graph import Graph
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.conv import Conv
from netspec.ir.packing import Cat, FoldedBias, FoldedWeight, Norm, Packing, Scaled, Take
from netspec.ir.parameter_names import packings
from netspec.ir.shapes import Kernel, Shape
from tests.helpers import load_rows

TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16}
EPS = 1e-3
FILTERS, SIZE = 3, (2, 1, 2)

odd = st.sampled_from([0.0, -0.0, 1e-310, -1e-40, 6e-8, 1e30, -3e4, float("inf"), -float("inf")])
ordinary = st.floats(-3, 3)


def norm(name: str) -> Norm:
    names = (f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))
    return Norm(*names, EPS)


def folded(name: str) -> FoldedWeight:
    return FoldedWeight(Take(f"{name}.conv.weight"), norm(name))


def bits(x: Tensor) -> Tensor:
    return x.contiguous().view(INTEGERS[x.dtype.itemsize])


def assert_comes_back(packing: Packing, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is packed is unpacked to the bit, with nothing but what was kept; returns that."""
    packed = packing.pack(tensors)
    kept = packing.keep(tensors, packed)
    unpacked = packing.unpack(packed, kept)
    assert unpacked.keys() == set(packing.names)
    for name in packing.names:
        assert unpacked[name].dtype == tensors[name].dtype
        assert unpacked[name].shape == tensors[name].shape
        assert torch.equal(bits(unpacked[name]), bits(tensors[name])), name
    return kept


def tensors_of(name: str, dtype: torch.dtype, numbers: list[float]) -> dict[str, Tensor]:
    """A convolution with its normalisation; the variances of ``numbers`` are made positive."""
    count = FILTERS * 4
    weight, rest = numbers[:count], numbers[count:]
    vectors = torch.tensor(rest, dtype=torch.float64).reshape(5, FILTERS)
    bias, scale, shift, mean, variance = (vector.to(dtype) for vector in vectors)
    return {
        f"{name}.conv.weight": torch.tensor(weight, dtype=torch.float64)
        .reshape(FILTERS, *SIZE)
        .to(dtype),
        f"{name}.conv.bias": bias,
        f"{name}.weight": scale,
        f"{name}.bias": shift,
        f"{name}.running_mean": mean,
        f"{name}.running_var": variance.abs(),
    }


NUMBERS = FILTERS * 4 + 5 * FILTERS
numbers = st.lists(ordinary | odd, min_size=NUMBERS, max_size=NUMBERS)
ZERO = [1.0] * 15 + [0.0] * 3 + [1.0] * 9
HUGE = [1.0, -2.5, 0.0] * 5 + [1e30, -1e30, 3e4] + [1.0] * 9
FAR = [1.2e-30, -3.7e-30, 5.1e-30] * 4 + [1.0, -2.5, 0.0] + [1e-11] * 3 + [1.0] * 9
"""Filters that come out as denormal numbers of float32, some hundreds of units off."""
NOT_A_NUMBER = [nan, 1.0, inf] * 5 + [nan, inf, 1.0] + [1.0] * 6 + [1.0, inf, nan]
TINY = [1.0, -2.5, 0.0] * 5 + [1e-30, -1e-7, 1e-5] + [1.0] * 9


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@given(a=numbers, b=numbers)
@example(a=ZERO, b=HUGE)
@example(a=TINY, b=ZERO)
@example(a=FAR, b=FAR)
@example(a=NOT_A_NUMBER, b=FAR)
def test_everything_comes_back_to_the_bit(
    dtype: torch.dtype, a: list[float], b: list[float]
) -> None:
    tensors = tensors_of("a", dtype, a) | tensors_of("b", dtype, b)
    take = Take("b.conv.weight")
    biases: list[Packing] = [
        FoldedBias(Take("a.conv.bias"), norm("a")),
        FoldedBias(None, norm("b")),
        Take("b.conv.bias"),
    ]
    three = (FILTERS,) * 3
    inner = Cat((folded("a"), take), (FILTERS,) * 2)
    for packing in (
        take,
        folded("a"),
        folded("b"),
        *biases,
        Cat((folded("a"), folded("b")), (FILTERS,) * 2),
        Cat((take, folded("a")), (FILTERS,) * 2),
        Cat((biases[0], biases[1], biases[2]), three),
        Cat((inner, Take("b.conv.weight")), (2 * FILTERS, FILTERS)),
    ):
        assert_comes_back(packing, tensors)


@pytest.mark.parametrize("scale", [1.5, 0.0])
def test_a_normalisation_behind_several_tensors_gives_each_of_them_back(scale: float) -> None:
    """No pass makes such a recipe now; a scale of zero needs the filters themselves."""
    tensors = tensors_of("a", torch.float32, [0.3] * NUMBERS)
    tensors["b"] = torch.rand(FILTERS, *SIZE)
    for name in norm("a").names:
        tensors[name] = torch.cat([tensors[name]] * 2)
    tensors["a.weight"].fill_(scale)
    both = Cat((Take("a.conv.weight"), Take("b")), (FILTERS,) * 2)
    assert_comes_back(FoldedWeight(both, norm("a")), tensors)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_ordinary_filters_keep_a_bit_each(dtype: torch.dtype) -> None:
    kept = assert_comes_back(folded("a"), many(dtype))
    bits, places, values = (kept.pop(f"a.conv.weight: {w}") for w in ("bits", "places", "values"))
    assert (bits.dtype, bits.numel()) == (torch.uint8, 8 * 125)
    assert kept.keys() == set(norm("a").names)
    assert len(places) == len(values)
    # A quotient in float64 is what is nearest to it, and lies on no side of it: of the one weight
    # in ten that is a neighbour, half are where none is looked for.  In float16, products below
    # 6e-5 are denormal; scale times weight is that small a few times in 8000.
    most = {torch.float64: 0.1, torch.float16: 0.01}.get(dtype, 0.0)
    assert len(places) <= most * 8000
    share = sum(int(byte).bit_count() for byte in bits) / 8000
    assert 0.01 < share < 0.25


def test_what_is_neither_is_kept_with_its_place() -> None:
    tensors = many(torch.float32)
    tensors["a.weight"][2] = 0.0
    tensors["a.conv.weight"][3, 1] = -0.0
    tensors["a.conv.weight"][4, 0, 0, 0] = 1e-38  # its product is a denormal number
    tensors["a.weight"][4] = 1e-4
    kept = assert_comes_back(folded("a"), tensors)
    places = kept["a.conv.weight: places"].tolist()
    assert places[:160] == list(range(2 * 160, 3 * 160))
    assert places[160:] == [4 * 160]
    assert kept["a.conv.weight: values"].dtype == torch.int32


def many(dtype: torch.dtype) -> dict[str, Tensor]:
    """A convolution of 50 filters of 160 weights, drawn at random, with its normalisation."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)

    tensors = {name: drawn(50) for name in norm("a").names}
    tensors["a.running_var"].abs_()
    return tensors | {"a.conv.weight": drawn(50, 40, 2, 2)}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_where_most_are_neither_the_filters_are_kept(dtype: torch.dtype) -> None:
    tensors = tensors_of("a", dtype, [1.0] * 12 + [0.0] * 6 + [1.0] * 9)
    kept = assert_comes_back(folded("a"), tensors)
    assert kept.keys() == {"a.conv.weight", *norm("a").names}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_what_is_packed_may_lie_channels_last(dtype: torch.dtype) -> None:
    """As the filters of a model do."""
    generator = torch.Generator().manual_seed(0)
    tensors = tensors_of("a", dtype, [0.1] * NUMBERS)
    drawn = torch.randn(FILTERS, 2, 3, 3, generator=generator).to(dtype)
    tensors["a.conv.weight"] = drawn.contiguous(memory_format=torch.channels_last)
    assert_comes_back(folded("a"), tensors)


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_folded_convolution_is_the_two_one_after_the_other(has_bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    tensors = {
        "a.conv.weight": drawn(4, 3, 3, 3),
        "a.conv.bias": drawn(4),
        "a.weight": drawn(4),
        "a.bias": drawn(4),
        "a.running_mean": drawn(4),
        "a.running_var": drawn(4).abs() + 0.5,
    }
    x, inputs = drawn(2, 3, 6, 6), [Shape((6, 6, 3))]
    conv = Conv(kernel=Kernel(3, 3), count=4, bias=has_bias)
    bias = {"bias": tensors["a.conv.bias"]} if has_bias else {}
    between = conv.reference(inputs, x, weight=tensors["a.conv.weight"], **bias)
    parameters = {name.removeprefix("a."): tensors[name] for name in norm("a").names}
    wanted = BatchNorm(eps=EPS).reference([conv.shape(inputs)], between, **parameters)
    weight = folded("a").pack(tensors)
    conv_bias = Take("a.conv.bias") if has_bias else None
    y = Conv(kernel=Kernel(3, 3), count=4).reference(
        inputs, x, weight=weight, bias=FoldedBias(conv_bias, norm("a")).pack(tensors)
    )
    # sums of 27 products of size one in another order, times a scale of at most 3: a few 1e-14
    torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)


def test_a_fold_is_differentiable() -> None:
    tensors = tensors_of("a", torch.float64, [0.5, -0.25, 1.5] * 9)
    leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    for packing in (folded("a"), FoldedBias(Take("a.conv.bias"), norm("a"))):
        used = [leaves[name] for name in packing.names]
        packing.pack(leaves).sum().backward()  # type: ignore[no-untyped-call]
        read = [leaf for leaf in used if leaf.grad is not None]
        assert len(read) >= 3
        for leaf in read:
            leaf.grad = None


def test_a_stage_holds_its_own_tensors_unless_it_says_otherwise() -> None:
    graph: Graph = load_rows("eval: conv 1x1, 4, bias=off | bn eps=1e-3").graph.copy()
    assert packings(graph, "eval.conv") == {"weight": Take("eval_.conv.weight")}
    assert list(packings(graph, "eval.bn")) == ["weight", "bias", "running_mean", "running_var"]
    graph.stage("eval.conv").packed = {"weight": Take("other")}
    assert packings(graph, "eval.conv") == {"weight": Take("other")}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@given(st.lists(ordinary | odd, min_size=6, max_size=6), st.sampled_from([0.5, 0.25, 2.0**-20]))
@example([1e-310, -1e-40, 6e-8, 0.0, -0.0, 1.0], 0.5)
def test_scaled_by_a_power_of_two(dtype: torch.dtype, values: list[float], factor: float) -> None:
    w = torch.tensor(values, dtype=torch.float64).reshape(2, 3).to(dtype)
    tensors = {"a.weight": w, "b.weight": -w}
    parts = tuple(Scaled(Take(name), factor) for name in tensors)
    assert torch.equal(parts[0].pack(tensors), w * factor)
    kept = assert_comes_back(Cat(parts, (2, 2)), tensors)
    is_exact = torch.equal(w * factor / factor, w)
    assert (kept == {}) == is_exact


def test_scaled_filters_of_a_folded_normalisation() -> None:
    tensors = tensors_of("a", torch.float32, [0.1 * n for n in range(NUMBERS)])
    packing = Scaled(folded("a"), 0.5)
    assert torch.equal(packing.pack(tensors), 0.5 * folded("a").pack(tensors))
    assert "a.conv.weight" not in assert_comes_back(packing, tensors)


def test_what_a_normalisation_is_folded_into_is_told() -> None:
    tensors = tensors_of("a", torch.float32, [0.1 * n for n in range(NUMBERS)])
    fold, w = folded("a"), tensors["a.conv.weight"]
    assert fold.unfolded(tensors) is w
    scaled, cat = (
        Scaled(fold, 0.5).unfolded(tensors),
        Cat((fold, fold.weight), (2, 2)).unfolded(tensors),
    )
    assert scaled is not None
    assert torch.equal(scaled, w * 0.5)
    assert cat is not None
    assert torch.equal(cat, torch.cat([w, w]))
    plain = Take("a.conv.weight")
    assert Scaled(plain, 0.5).unfolded(tensors) is Cat((plain,), (2,)).unfolded(tensors) is None

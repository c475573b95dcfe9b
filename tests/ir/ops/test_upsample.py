from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from netspec import loads
from netspec.ir.ops.upsample import Upsample
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, mistakes, refusal

NEAREST = Upsample(factor=(2, 3), by="nearest")
CENTRES = Upsample(factor=(2, 3), by="bilinear", align_corners=False)
CORNERS = Upsample(factor=(2, 3), by="bilinear", align_corners=True)

sizes = st.tuples(st.integers(1, 5), st.integers(1, 5))
factors = st.tuples(st.integers(1, 4), st.integers(1, 4))


def weights(size: int, factor: int, aligned: bool) -> np.ndarray:
    """The share of each position of the input in each of the output, along one axis."""
    shares = np.zeros((size * factor, size))
    for i in range(size * factor):
        if aligned:
            u = Fraction(i * (size - 1), max(1, size * factor - 1))
        else:
            u = Fraction(2 * i + 1, 2 * factor) - Fraction(1, 2)
        p, t = floor(u), float(u - floor(u))
        shares[i, min(max(p, 0), size - 1)] += 1 - t
        shares[i, min(max(p + 1, 0), size - 1)] += t
    return shares


@given(size=sizes, factor=factors)
def test_nearest_repeats_each_value(size: tuple[int, int], factor: tuple[int, int]) -> None:
    op, inputs = Upsample(factor=factor, by="nearest"), [Shape((*size, 2))]
    x = images(inputs[0])
    y = op.reference(inputs, x)
    assert tuple(y.shape) == (2, *op.shape(inputs).torch)
    for n, c, i, j in np.ndindex(*y.shape):
        assert y[n, c, i, j] == x[n, c, i // factor[0], j // factor[1]]


def test_nearest_is_right_for_a_factor_that_pytorch_rounds_wrongly() -> None:
    x = torch.arange(40.0).view(1, 1, 40, 1)
    y = Upsample(factor=(41, 1), by="nearest").reference([Shape((40, 1, 1))], x)
    assert y.flatten().tolist() == [i // 41 for i in range(40 * 41)]


@pytest.mark.parametrize("aligned", [False, True])
@given(size=sizes, factor=factors)
@example(size=(1, 5), factor=(4, 3))
def test_bilinear_interpolates_along_each_axis(
    aligned: bool, size: tuple[int, int], factor: tuple[int, int]
) -> None:
    op = Upsample(factor=factor, by="bilinear", align_corners=aligned)
    inputs = [Shape((*size, 2))]
    x = images(inputs[0])
    rows, columns = (weights(size[a], factor[a], aligned) for a in (0, 1))
    expected = np.einsum("ui,ncij,vj->ncuv", rows, x.numpy(), columns)
    assert_same(op.reference(inputs, x), expected)
    module = op.module(inputs)
    assert module is not None
    assert torch.equal(module(x), op.reference(inputs, x))


@pytest.mark.parametrize("op", [NEAREST, CENTRES, CORNERS])
@pytest.mark.parametrize("size", [(1, 1), (4, 3), (6, 5)])
def test_the_field_has_the_positions_whose_value_changes_the_output(
    op: Upsample, size: tuple[int, int]
) -> None:
    inputs = [Shape((*size, 1))]
    field = op.field([Field()], inputs)
    for axis in (0, 1):
        x = torch.eye(size[axis], dtype=torch.float64)[:, None]
        x = x[..., None] if axis == 0 else x[..., None, :]
        wide = x.expand(-1, -1, *size).contiguous()
        y = op.reference(inputs, wide)[:, 0]
        seen = (y[:, :, 0] if axis == 0 else y[:, 0]).abs() > 1e-12
        for output in range(seen.shape[1]):
            positions = [i for i in range(size[axis]) if seen[i, output]]
            first, last = field.reaches[axis].at(output)
            ends = max(first, 0), min(last, size[axis] - 1)
            assert (min(positions), max(positions)) == ends


@pytest.mark.parametrize("op", [NEAREST, CENTRES, CORNERS])
def test_gradients_are_those_of_finite_differences(op: Upsample) -> None:
    assert_gradients(op, images((2, 3, 2)))


@pytest.mark.parametrize("factor", [4097, 10**9])
@pytest.mark.parametrize("by", ["nearest", "centres", "corners"])
def test_the_field_of_a_large_factor_has_no_span_for_each_output(by: str, factor: int) -> None:
    align = {"nearest": None, "centres": False, "corners": True}[by]
    op = Upsample(
        factor=(factor, 1), by="nearest" if align is None else "bilinear", align_corners=align
    )
    reach = op.field([Field()], [Shape((7, 3, 1))]).reaches[0]
    for i in (0, 1, factor // 2 - 1, factor // 2, factor - 1, factor, 3 * factor + 5):
        u = {
            "nearest": Fraction(i // factor),
            "centres": Fraction(2 * i + 1, 2 * factor) - Fraction(1, 2),
            "corners": Fraction(6 * i, 7 * factor - 1),
        }[by]
        assert reach.at(i) == (floor(u), ceil(u))
    assert reach.size == (1 if by == "nearest" else 2)


def test_the_size_is_a_product() -> None:
    inputs = [Shape((7, 5, 3))]
    assert NEAREST.shape(inputs) == (14, 15, 3)
    assert NEAREST.derivation(0, inputs) == "7*2"
    assert NEAREST.derivation(2, inputs) is None
    assert NEAREST.parameters(inputs) == {}


@pytest.mark.parametrize(
    "way", ["nearest", "bilinear, align_corners=off", "bilinear, align_corners=on"]
)
def test_a_map_of_unknown_size_can_be_upsampled(way: str) -> None:
    net = loads(
        f"net example\ninput image H x W x 3\na: upsample 2, by={way} | conv 3x3, 4, pad=1\n"
    )
    assert str(net.graph.stage("a").shape) == "(2*H) x (2*W) x 4"
    field = net.graph.stage("a").field
    known = loads(f"net example\ninput image 8x6x3\na: upsample 2, by={way} | conv 3x3, 4, pad=1\n")
    exact = known.graph.stage("a").field
    assert field is not None
    assert exact is not None
    assert all(bound >= size for bound, size in zip(field.size, exact.size, strict=True))


def test_bilinear_has_to_say_where_the_corners_are() -> None:
    assert mistakes(Upsample(factor=(2, 2), by="bilinear")) == [("NS133", "align_corners")]
    odd = Upsample(factor=(2, 2), by="nearest", align_corners=False)
    assert mistakes(odd) == [("NS132", "align_corners")]
    assert [mistakes(op) for op in (NEAREST, CENTRES, CORNERS)] == [[], [], []]


def test_a_vector_is_refused() -> None:
    assert refusal(NEAREST, (12,)).code == "NS206"

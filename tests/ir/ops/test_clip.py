from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec import SpecError, loads
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import HEADER, assert_elementwise, assert_gradients, images, mistakes

OP = Clip(low=-0.5, high=1.5)
RANGES = [(-0.5, 1.5), (0.5, 3.0), (-3.0, -2.0)]


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9), st.sampled_from(RANGES))
def test_clip_is_its_formula(numbers: list[float], ends: tuple[float, float]) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    low, high = ends
    assert_elementwise(Clip(low=low, high=high), lambda v: min(high, max(low, v)), x)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4), (7,)])
def test_clip_keeps_the_shape(size: tuple[int, ...]) -> None:
    assert_elementwise(OP, lambda v: min(1.5, max(-0.5, v)), images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


@pytest.mark.parametrize("ends", RANGES)
def test_the_bound_is_that_of_the_range(ends: tuple[float, float]) -> None:
    """Of 0, it is the end that is nearer to 0; of large values the other one."""
    growth = Clip(low=ends[0], high=ends[1]).growth([Shape((1,))])
    assert growth.bound(0.0) == (0 if ends[0] < 0 < ends[1] else min(map(abs, ends)))
    assert growth.bound(1e30) == max(map(abs, ends))


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0)])
def test_an_empty_range_is_a_mistake(low: float, high: float) -> None:
    assert mistakes(OP) == []
    assert mistakes(Clip(low=low, high=high)) == [("NS132", "high")]
    with pytest.raises(SpecError, match=f"{high:g} is not above the smallest result, {low:g}"):
        loads(f"{HEADER}a: clip {low:g}, {high:g}")


def test_equal_ranges_are_equal_under_both_names() -> None:
    assert Clip(low=0.0, high=6.0) == Relu6() == Clip(low=0.0, high=6.0)
    assert hash(Clip(low=0.0, high=6.0)) == hash(Relu6())
    assert Relu6() != OP
    assert OP != (-0.5, 1.5)

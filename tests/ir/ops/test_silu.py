from __future__ import annotations

from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.silu import Silu
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=9))
def test_silu_is_its_formula(numbers: list[float]) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    assert_elementwise(Silu(), lambda v: v / (1 + exp(-v)), x)


@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_silu_keeps_the_shape(size: tuple[int, ...]) -> None:
    assert_elementwise(Silu(), lambda v: v / (1 + exp(-v)), images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(Silu(), images((3, 2, 2)))

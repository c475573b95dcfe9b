from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.hardswish import HardSwish
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images


def formula(v: float) -> float:
    return v * min(6.0, max(0.0, v + 3)) / 6


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_hardswish_is_its_formula(numbers: list[float]) -> None:
    assert_elementwise(HardSwish(), formula, torch.tensor([numbers], dtype=torch.float64))


@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_hardswish_keeps_the_shape(size: tuple[int, ...]) -> None:
    assert_elementwise(HardSwish(), formula, 3 * images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(HardSwish(), 3 * images((3, 2, 2)))

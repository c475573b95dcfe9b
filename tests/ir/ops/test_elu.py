from __future__ import annotations

from math import expm1

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.elu import Elu
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=9), st.floats(0, 9))
def test_elu_is_its_formula(numbers: list[float], alpha: float) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    assert_elementwise(Elu(alpha=alpha), lambda v: v if v > 0 else alpha * expm1(v), x)


@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_alpha_is_one_by_default(size: tuple[int, ...]) -> None:
    assert_elementwise(Elu(), lambda v: v if v > 0 else expm1(v), images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(Elu(alpha=0.7), images((3, 2, 2)))

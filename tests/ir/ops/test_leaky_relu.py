from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.leaky_relu import LeakyRelu
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images

OP = LeakyRelu(slope=0.2)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9), st.floats(0, 0.99))
def test_leaky_relu_is_its_formula(numbers: list[float], slope: float) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    assert_elementwise(LeakyRelu(slope=slope), lambda v: v if v > 0 else slope * v, x)


@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_the_default_slope_is_that_of_the_paper(size: tuple[int, ...]) -> None:
    assert_elementwise(LeakyRelu(), lambda v: v if v > 0 else 0.01 * v, images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


def test_zero_passes_the_slope() -> None:
    x = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    OP.reference([Shape((1,))], x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 0.2

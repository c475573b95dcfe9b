from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.relu import Relu
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images

OP = Relu()
values = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(values, min_size=1, max_size=9))
def test_relu_is_its_formula(numbers: list[float]) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    assert_elementwise(OP, lambda v: v if v > 0 else 0.0, x)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4), (7,)])
def test_relu_is_its_formula_on_maps_and_vectors(size: tuple[int, ...]) -> None:
    assert_elementwise(OP, lambda v: v if v > 0 else 0.0, images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


def test_zero_passes_no_gradient() -> None:
    x = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    OP.reference([Shape((3,))], x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0, 0]]


def test_relu_holds_and_counts_nothing() -> None:
    inputs = [Shape((3, 2, 4))]
    assert OP.parameters(inputs) == {}
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0

from __future__ import annotations

from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images

OP = Sigmoid()


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=9))
def test_sigmoid_is_its_formula(numbers: list[float]) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    assert_elementwise(OP, lambda v: 1 / (1 + exp(-v)), x)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4), (7,)])
def test_sigmoid_is_its_formula_on_maps_and_vectors(size: tuple[int, ...]) -> None:
    assert_elementwise(OP, lambda v: 1 / (1 + exp(-v)), images(size))


def test_sigmoid_saturates_without_overflow() -> None:
    x = torch.tensor([[-1e4, 0.0, 1e4]], dtype=torch.float64)
    assert OP.reference([Shape((3,))], x)[0].tolist() == [0, 0.5, 1]


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


def test_sigmoid_holds_and_counts_nothing() -> None:
    inputs = [Shape((3, 2, 4))]
    assert OP.parameters(inputs) == {}
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0

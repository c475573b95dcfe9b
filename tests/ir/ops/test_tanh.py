from __future__ import annotations

from math import tanh

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.tanh import Tanh
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images

LECUN = Tanh(scale=1.7159, slope=2 / 3)
values = st.floats(-50, 50)


@given(st.lists(values, min_size=1, max_size=9), st.floats(-3, 3), st.floats(-3, 3))
def test_tanh_is_its_formula(numbers: list[float], scale: float, slope: float) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    assert_elementwise(Tanh(scale=scale, slope=slope), lambda v: scale * tanh(slope * v), x)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4), (7,)])
def test_tanh_is_plain_unless_it_is_scaled(size: tuple[int, ...]) -> None:
    assert_elementwise(Tanh(), tanh, images(size))


def test_lecuns_tanh_keeps_one_and_saturates_at_its_scale() -> None:
    x = torch.tensor([[1.0, -1.0, 1e6]], dtype=torch.float64)
    y = LECUN.reference([Shape((3,))], x)[0].tolist()
    assert y == [pytest.approx(1, abs=1e-4), pytest.approx(-1, abs=1e-4), 1.7159]


@pytest.mark.parametrize("op", [Tanh(), LECUN])
def test_gradients_are_those_of_finite_differences(op: Tanh) -> None:
    assert_gradients(op, images((3, 2, 2)))


def test_tanh_holds_and_counts_nothing() -> None:
    inputs = [Shape((3, 2, 4))]
    assert LECUN.parameters(inputs) == {}
    assert 0 in LECUN.macs(inputs)
    assert LECUN.neurons(inputs) == 0

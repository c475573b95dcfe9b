from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec import loads, reference
from netspec.ir.ops.hardsigmoid import HardSigmoid
from tests.ir.ops.helpers import HEADER, assert_elementwise, assert_gradients, assert_same, images


def formula(v: float) -> float:
    return min(6.0, max(0.0, v + 3)) / 6


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_hardsigmoid_is_its_formula(numbers: list[float]) -> None:
    assert_elementwise(HardSigmoid(), formula, torch.tensor([numbers], dtype=torch.float64))


@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_hardsigmoid_keeps_the_shape(size: tuple[int, ...]) -> None:
    assert_elementwise(HardSigmoid(), formula, 3 * images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(HardSigmoid(), 3 * images((3, 2, 2)))


def test_that_of_keras_2_is_written_with_a_scale() -> None:
    model = reference(loads(f"{HEADER}a: scale 1.2 | hardsigmoid\n"))
    x = 3 * images((9, 8, 6)).float()
    torch.testing.assert_close(model(x), (0.2 * x + 0.5).clamp(0, 1))
    assert_same(HardSigmoid().reference([], 1.2 * x.double()), (0.2 * x.double() + 0.5).clamp(0, 1))

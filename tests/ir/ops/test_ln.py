from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest

from netspec.ir.operator import Parameter
from netspec.ir.ops.ln import LayerNorm
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, random_parameters

OP = LayerNorm(eps=1e-3)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(3, 2, 4), (1, 1, 5), (2, 2, 1), (7,)])
def test_ln_is_its_formula(size: tuple[int, ...], training: bool) -> None:
    inputs, x = [Shape(size)], images(size)
    parameters = random_parameters(OP, inputs)
    weight, bias = (parameters[name].tolist() for name in ("weight", "bias"))
    y, channels = np.zeros(x.shape), x.shape[1]
    for n, *position in np.ndindex(x.shape[0], *x.shape[2:]):
        values = [float(x[(n, c, *position)]) for c in range(channels)]
        mean = sum(values) / channels
        variance = sum((v - mean) ** 2 for v in values) / channels
        for c, v in enumerate(values):
            place = (n, c, *position)
            y[place] = weight[c] * (v - mean) / sqrt(variance + 1e-3) + bias[c]
    run = OP.training_reference if training else OP.reference
    assert OP.shape(inputs) == size
    assert_same(run(inputs, x, **parameters), y)


@pytest.mark.parametrize("size", [(2, 1, 3), (3,)])
def test_gradients_are_those_of_finite_differences(size: tuple[int, ...]) -> None:
    assert_gradients(OP, images(size))


def test_ln_trains_two_numbers_a_channel() -> None:
    expected = {"weight": Parameter((4,), value=1.0), "bias": Parameter((4,))}
    assert OP.parameters([Shape((3, 2, 4))]) == expected


def test_a_position_sees_no_other_one() -> None:
    field = Field(size=(7, 7))
    assert OP.field([field], [Shape((3, 2, 4))]) == field


def test_there_is_no_bound_where_squares_overflow() -> None:
    assert OP.growth([Shape((3, 2, 4))]).gain == inf

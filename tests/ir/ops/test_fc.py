from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.operator import Parameter
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import (
    assert_gradients,
    assert_same,
    images,
    mistakes,
    random_parameters,
)

F6 = FullyConnected(count=4096)
POOLED = [Shape((6, 6, 256))]


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 3), st.booleans())
def test_fc_is_its_formula(length: int, count: int, batch: int, bias: bool) -> None:
    op, inputs = FullyConnected(count=count, bias=bias), [Shape((length,))]
    x, parameters = images(inputs[0], batch), random_parameters(op, inputs)
    y = np.zeros((batch, count))
    for n, o in np.ndindex(*y.shape):
        y[n, o] = sum(float(parameters["weight"][o, i] * x[n, i]) for i in range(length))
        y[n, o] += float(parameters["bias"][o]) if bias else 0.0
    assert_same(op.reference(inputs, x, **parameters), y)


@pytest.mark.parametrize("size", [(2, 3, 4), (1, 1, 5), (3, 1, 1)])
def test_a_map_is_read_channel_by_channel_and_row_by_row(size: tuple[int, int, int]) -> None:
    height, width, channels = size
    op, inputs = FullyConnected(count=2), [Shape(size)]
    x, parameters = images(size), random_parameters(op, inputs)
    y = np.zeros((2, 2))
    for n, o in np.ndindex(*y.shape):
        y[n, o] = float(parameters["bias"][o])
        for c, i, j in np.ndindex(channels, height, width):
            place = (c * height + i) * width + j
            y[n, o] += float(parameters["weight"][o, place] * x[n, c, i, j])
    assert_same(op.reference(inputs, x, **parameters), y)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(FullyConnected(count=3), images((2, 2, 2)))


def test_the_sixth_row_of_alexnet() -> None:
    assert F6.shape(POOLED) == (4096,)
    assert F6.parameters(POOLED) == {
        "weight": Parameter((4096, 9216), fan_in=9216),
        "bias": Parameter((4096,)),
    }
    assert prod(F6.macs(POOLED)) == 9216 * 4096
    assert F6.neurons(POOLED) == 4096
    assert F6.kernel_text(POOLED) == "9216x4096"
    assert F6.derivation(0, POOLED) == "4096 outputs"


def test_bias_off_leaves_the_bias_out() -> None:
    assert list(FullyConnected(count=2, bias=False).parameters(POOLED)) == ["weight"]


def test_every_output_sees_the_whole_map() -> None:
    seen = F6.field([Field(size=(195, 195), stride=(32, 32))], POOLED)
    assert seen.size == (355, 355)


def test_there_is_nothing_to_get_wrong() -> None:
    assert mistakes(F6) == []

from __future__ import annotations

import numpy as np
import pytest
import torch

from netspec.ir.operator import Parameter
from netspec.ir.ops.gain import Gain
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, random_parameters

OP = Gain(initial=1e-6)


@pytest.mark.parametrize("size", [(3, 2, 4), (1, 1, 1), (7,)])
def test_gain_is_its_formula(size: tuple[int, ...]) -> None:
    inputs, x = [Shape(size)], images(size)
    parameters = random_parameters(OP, inputs)
    y = np.zeros(x.shape)
    for place in np.ndindex(*y.shape):
        y[place] = float(parameters["weight"][place[1]]) * float(x[place])
    assert OP.shape(inputs) == size
    assert_same(OP.reference(inputs, x, **parameters), y)


@pytest.mark.parametrize("size", [(3, 2, 2), (3,)])
def test_gradients_are_those_of_finite_differences(size: tuple[int, ...]) -> None:
    assert_gradients(OP, images(size))


def test_there_is_a_factor_a_channel_that_starts_at_the_initial_value() -> None:
    assert OP.parameters([Shape((3, 2, 4))]) == {"weight": Parameter((4,), value=1e-6)}
    assert OP.growth([Shape((2,))], weight=torch.tensor([0.5, -3.0])).gain == 3.0

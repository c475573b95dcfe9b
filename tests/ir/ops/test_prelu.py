from __future__ import annotations

import numpy as np
import pytest
import torch

from netspec.ir.operator import Parameter
from netspec.ir.ops.prelu import PRelu
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, random_parameters


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_prelu_is_its_formula(size: tuple[int, ...], shared: bool) -> None:
    op, inputs, x = PRelu(shared=shared), [Shape(size)], images(size)
    parameters = random_parameters(op, inputs)
    slopes, y = parameters["weight"].tolist(), np.zeros(x.shape)
    for place in np.ndindex(*y.shape):
        v, slope = float(x[place]), slopes[0 if shared else place[1]]
        y[place] = v if v > 0 else slope * v
    assert op.shape(inputs) == size
    assert_same(op.reference(inputs, x, **parameters), y)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("size", [(3, 2, 2), (3,)])
def test_gradients_are_those_of_finite_differences(size: tuple[int, ...], shared: bool) -> None:
    assert_gradients(PRelu(shared=shared), images(size))


def test_there_is_a_slope_a_channel_or_one() -> None:
    assert PRelu().parameters([Shape((3, 2, 4))]) == {"weight": Parameter((4,), value=0.25)}
    assert PRelu(shared=True).parameters([Shape((5,))]) == {"weight": Parameter((1,), value=0.25)}


@pytest.mark.parametrize(("slope", "gain"), [(0.25, 1.0), (-3.0, 3.0), (2.0, 2.0)])
def test_a_steep_slope_enlarges(slope: float, gain: float) -> None:
    weight = torch.tensor([0.1, slope])
    assert PRelu().growth([Shape((2,))], weight=weight).gain == gain

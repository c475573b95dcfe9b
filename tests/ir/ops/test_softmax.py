from __future__ import annotations

from math import exp

import numpy as np
import pytest
import torch

from netspec.ir.ops.softmax import Softmax
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images

OP = Softmax()
SIZES = [(1,), (5,), (1, 1, 4), (3, 2, 5), (2, 2, 1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 2])
def test_softmax_is_its_formula_over_channels(size: tuple[int, ...], batch: int) -> None:
    x = images(size, batch)
    y = np.zeros(x.shape)
    for n, c, *place in np.ndindex(*y.shape):
        others = [float(x[n, other, *place]) for other in range(size[-1])]
        y[n, c, *place] = exp(others[c]) / sum(map(exp, others))
    assert OP.shape([Shape(size)]) == size
    assert_same(OP.reference([Shape(size)], x), y)


def test_every_place_of_a_map_sums_to_one() -> None:
    y = OP.reference([Shape((3, 2, 5))], images((3, 2, 5)))
    assert_same(y.sum(dim=1), torch.ones(2, 3, 2, dtype=torch.float64))


def test_large_values_do_not_overflow() -> None:
    x = torch.tensor([[1e4, 1e4, -1e4]], dtype=torch.float64)
    assert OP.reference([Shape((3,))], x)[0].tolist() == [0.5, 0.5, 0]


@pytest.mark.parametrize("size", [(4,), (2, 2, 3)])
def test_gradients_are_those_of_finite_differences(size: tuple[int, ...]) -> None:
    assert_gradients(OP, images(size))


def test_softmax_holds_and_counts_nothing() -> None:
    inputs = [Shape((3, 2, 4))]
    assert OP.parameters(inputs) == {}
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0

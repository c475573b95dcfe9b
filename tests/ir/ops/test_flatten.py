from __future__ import annotations

import numpy as np
import pytest

from netspec.ir.ops.flatten import Flatten
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images

OP = Flatten()
MAP = [Shape((6, 5, 256))]


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 4), (1, 5, 2)])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_map_is_laid_out_channel_by_channel_and_row_by_row(
    size: tuple[int, int, int], batch: int
) -> None:
    height, width, channels = size
    x = images(size, batch)
    y = np.zeros((batch, height * width * channels))
    for n, c, i, j in np.ndindex(*x.shape):
        y[n, (c * height + i) * width + j] = x[n, c, i, j]
    assert OP.shape([Shape(size)]) == (height * width * channels,)
    assert_same(OP.reference([Shape(size)], x), y)


def test_a_vector_stays_as_it_is() -> None:
    x = images((7,))
    assert OP.shape([Shape((7,))]) == (7,)
    assert_same(OP.reference([Shape((7,))], x), x)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


def test_the_length_is_the_product_of_the_sizes() -> None:
    assert OP.shape(MAP) == (7680,)
    assert OP.derivation(0, MAP) == "6*5*256"


def test_the_vector_sees_the_whole_map() -> None:
    field = OP.field([Field(size=(3, 3), start=(-1, -1), stride=(2, 2))], MAP)
    assert (field.size, field.start) == ((13, 11), (-1, -1))


def test_flatten_holds_and_counts_nothing() -> None:
    assert OP.parameters(MAP) == {}
    assert 0 in OP.macs(MAP)
    assert OP.neurons(MAP) == 0

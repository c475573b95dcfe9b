from __future__ import annotations

import numpy as np
import pytest
import torch

from netspec.ir.ops.gmp import GlobalMaxPool
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, mistakes, refusal

OP = GlobalMaxPool()
MAP = [Shape((7, 5, 1024))]


@pytest.mark.parametrize("size", [(1, 1, 3), (4, 5, 2), (1, 6, 1)])
@pytest.mark.parametrize("batch", [1, 2])
def test_gmp_is_the_largest_value_of_each_channel(size: tuple[int, int, int], batch: int) -> None:
    x = images(size, batch)
    y = np.zeros((batch, size[2], 1, 1))
    for n, c in np.ndindex(batch, size[2]):
        y[n, c, 0, 0] = max(x[n, c].flatten().tolist())
    assert_same(OP.reference([Shape(size)], x), y)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


def test_pytorchs_module_computes_the_same() -> None:
    x = images((4, 5, 2))
    module = OP.module([Shape((4, 5, 2))])
    assert module is not None
    assert torch.equal(module(x), OP.reference([Shape((4, 5, 2))], x))


def test_gmp_leaves_one_value_for_each_channel() -> None:
    assert OP.shape(MAP) == (1, 1, 1024)
    assert OP.kernel_text(MAP) == "7x5"
    assert OP.derivation(0, MAP) == "one maximum of the whole map"
    assert OP.derivation(2, MAP) is None


def test_gmp_has_no_parameters_and_multiplies_nothing() -> None:
    assert OP.parameters(MAP) == {}
    assert 0 in OP.macs(MAP)
    assert OP.neurons(MAP) == 0
    assert mistakes(OP) == []


def test_gmp_sees_the_whole_map() -> None:
    field = Field(size=(3, 3), start=(-1, -1), stride=(2, 2))
    assert OP.field([field], MAP) == Field(size=(15, 11), start=(-1, -1), stride=(2, 2))


def test_a_vector_is_refused() -> None:
    assert refusal(OP, (1024,)).code == "NS206"

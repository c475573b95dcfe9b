from __future__ import annotations

import numpy as np
import pytest

from netspec.ir.ops.add import Add
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, refusal

OP = Add()


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 4), (5,)])
@pytest.mark.parametrize("operands", [1, 2, 3])
def test_add_is_the_sum_element_by_element(size: tuple[int, ...], operands: int) -> None:
    inputs = [Shape(size)] * operands
    x = [images(size, seed=seed) for seed in range(operands)]
    y = np.zeros(x[0].shape)
    for place in np.ndindex(*y.shape):
        y[place] = sum(float(tensor[place]) for tensor in x)
    assert OP.shape(inputs) == size
    assert_same(OP.reference(inputs, *x), y)


def test_operands_are_left_as_they_were() -> None:
    x = [images((2, 2, 2), seed=seed) for seed in range(3)]
    before = [tensor.clone() for tensor in x]
    OP.reference([Shape((2, 2, 2))] * 3, *x)
    for tensor, old in zip(x, before, strict=True):
        assert_same(tensor, old)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((2, 1, 2)), images((2, 1, 2), seed=1))


def test_the_field_covers_those_of_all_branches() -> None:
    short, long = Field(size=(7, 7)), Field(size=(11, 11), start=(-2, -2))
    assert OP.field([short, long], [Shape((2, 2, 1))] * 2) == long


@pytest.mark.parametrize(
    ("second", "axis", "what"),
    [((3, 2, 4), 0, "height"), ((2, 3, 4), 1, "width"), ((2, 2, 5), 2, "channels")],
)
def test_maps_that_differ_are_refused(second: tuple[int, ...], axis: int, what: str) -> None:
    error = refusal(OP, (2, 2, 4), (2, 2, 4), second)
    assert error.code == "NS205"
    assert error.message == f"add inputs differ in {what}: 2x2x4 and {Shape(second)}"
    assert error.label == f"branch 3 is {Shape(second)}"
    assert error.origins == ((0, axis), (2, axis))


@pytest.mark.parametrize("second", [(1, 1, 4), (5,)])
def test_nothing_is_broadcast(second: tuple[int, ...]) -> None:
    assert refusal(OP, (4,), second).code == "NS205"


def test_a_map_and_a_vector_differ_in_size() -> None:
    assert refusal(OP, (1, 1, 4), (4,)).message == "add inputs differ in size: 1x1x4 and 4"


def test_add_holds_and_counts_nothing() -> None:
    inputs = [Shape((3, 2, 4))] * 2
    assert OP.parameters(inputs) == {}
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0

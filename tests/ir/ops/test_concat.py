from __future__ import annotations

import numpy as np
import pytest

from netspec.ir.ops.concat import Concat
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, refusal

OP = Concat()


@pytest.mark.parametrize("channels", [(3,), (1, 1), (2, 5, 1)])
def test_maps_are_joined_along_their_channels_in_order(channels: tuple[int, ...]) -> None:
    inputs = [Shape((2, 3, count)) for count in channels]
    x = [images(shape, seed=seed) for seed, shape in enumerate(inputs)]
    y = np.zeros((2, sum(channels), 2, 3))
    for operand, tensor in enumerate(x):
        for n, c, i, j in np.ndindex(*tensor.shape):
            y[n, sum(channels[:operand]) + c, i, j] = tensor[n, c, i, j]
    assert OP.shape(inputs) == (2, 3, sum(channels))
    assert_same(OP.reference(inputs, *x), y)


def test_vectors_are_joined_end_to_end() -> None:
    inputs = [Shape((2,)), Shape((3,))]
    x = [images(shape, seed=seed) for seed, shape in enumerate(inputs)]
    expected = [first.tolist() + second.tolist() for first, second in zip(*x, strict=True)]
    assert OP.shape(inputs) == (5,)
    assert_same(OP.reference(inputs, *x), np.array(expected))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((2, 1, 2)), images((2, 1, 3), seed=1))


def test_the_first_inception_module_of_googlenet() -> None:
    inputs = [Shape((28, 28, count)) for count in (64, 128, 32, 32)]
    assert OP.shape(inputs) == (28, 28, 256)
    assert OP.derivation(2, inputs) == "64 + 128 + 32 + 32"
    assert OP.derivation(0, inputs) is None


def test_the_field_covers_those_of_all_branches() -> None:
    narrow = Field(size=(11, 11), start=(0, 0), stride=(8, 8))
    wide = Field(size=(27, 43), start=(-8, -16), stride=(8, 8))
    assert OP.field([narrow, wide], [Shape((2, 2, 1))] * 2) == wide


@pytest.mark.parametrize(
    ("second", "axis", "message"),
    [
        ((28, 27, 8), 0, "concat inputs differ in height: 27 and 28"),
        ((27, 28, 8), 1, "concat inputs differ in width: 27 and 28"),
    ],
)
def test_maps_of_different_sizes_are_refused(
    second: tuple[int, ...], axis: int, message: str
) -> None:
    error = refusal(OP, (27, 27, 4), second)
    assert (error.code, error.message) == ("NS204", message)
    assert error.label == f"branch 2 is {Shape(second)}"
    assert error.origins == ((0, axis), (1, axis))


def test_a_map_and_a_vector_are_refused() -> None:
    error = refusal(OP, (2, 2, 4), (2, 2, 4), (16,))
    assert error.code == "NS205"
    assert error.label == "branch 3 is 16"


def test_concat_holds_and_counts_nothing() -> None:
    inputs = [Shape((3, 2, 4))] * 2
    assert OP.parameters(inputs) == {}
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0

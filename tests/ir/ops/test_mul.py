from __future__ import annotations

from math import inf, prod

import numpy as np
import pytest

from netspec import SpecError, loads
from netspec.ir.ops.mul import Mul
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import HEADER, assert_gradients, assert_same, images, refusal

OP = Mul()


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 4), (1, 1, 4), (5,)])
@pytest.mark.parametrize("operands", [1, 2, 3])
def test_mul_is_the_product_element_by_element(size: tuple[int, ...], operands: int) -> None:
    inputs = [Shape(size)] * operands
    x = [images(size, seed=seed) for seed in range(operands)]
    y = np.zeros(x[0].shape)
    for place in np.ndindex(*y.shape):
        y[place] = prod(float(tensor[place]) for tensor in x)
    assert OP.shape(inputs) == size
    assert_same(OP.reference(inputs, *x), y)


@pytest.mark.parametrize("first", [True, False])
def test_a_factor_per_channel_multiplies_every_position(first: bool) -> None:
    whole, factor = images((2, 3, 4)), images((1, 1, 4), seed=1)
    y = np.zeros(whole.shape)
    for n, c, i, j in np.ndindex(*y.shape):
        y[n, c, i, j] = float(whole[n, c, i, j]) * float(factor[n, c, 0, 0])
    x = [factor, whole] if first else [whole, factor]
    inputs = [Shape((1, 1, 4)), Shape((2, 3, 4))][:: 1 if first else -1]
    assert OP.shape(inputs) == (2, 3, 4)
    assert_same(OP.reference(inputs, *x), y)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((2, 1, 2)), images((2, 1, 2), seed=1), images((1, 1, 2), seed=2))


def test_the_field_covers_those_of_all_branches() -> None:
    short, long = Field(size=(7, 7)), Field(size=(11, 11), start=(-2, -2))
    assert OP.field([short, long], [Shape((2, 2, 1))] * 2) == long


@pytest.mark.parametrize(
    ("second", "axis", "what"),
    [
        ((3, 2, 4), 0, "height"),
        ((2, 3, 4), 1, "width"),
        ((2, 2, 5), 2, "channels"),
        ((1, 1, 5), 2, "channels"),
        ((1, 2, 4), 0, "height"),
        ((2, 1, 4), 1, "width"),
    ],
)
def test_maps_that_differ_are_refused(second: tuple[int, ...], axis: int, what: str) -> None:
    error = refusal(OP, (1, 1, 4), (2, 2, 4), second)
    assert error.code == "NS205"
    assert error.message == f"mul inputs differ in {what}: 2x2x4 and {Shape(second)}"
    assert error.label == f"branch 3 is {Shape(second)}"
    assert error.origins == ((1, axis), (2, axis))
    assert "gap makes a map 1x1" in (error.help or "")


def test_a_vector_is_no_factor_of_a_map() -> None:
    error = refusal(OP, (2, 2, 4), (4,))
    assert error.message == "mul inputs differ in size: 2x2x4 and 4"
    assert "use conv 1x1 after gap instead of fc" in (error.help or "")
    assert refusal(OP, (1, 1, 4), (4,)).code == "NS205"
    assert refusal(OP, (4,), (5,)).message == "mul inputs differ in channels: 4 and 5"


def test_there_is_no_bound_of_a_product() -> None:
    assert OP.growth([Shape((2,))] * 2).gain == inf


def test_a_squeeze_and_excitation_block_is_one_row() -> None:
    block = "a: mul { identity; gap | conv 1x1, 2 | relu | conv 1x1, 6 | sigmoid }\n"
    graph = loads(HEADER + block).graph
    assert graph.stage("a.mul").known_shape == (9, 8, 6)
    by_name = loads(f"{HEADER}g: gap | sigmoid\nm from image, g: mul | relu\n").graph
    assert by_name.operands("m.mul") == ("image", "g.sigmoid")


def test_a_factor_is_broadcast_over_a_map_of_any_size() -> None:
    """A map is a factor if it has one position for every size."""
    with pytest.raises(SpecError, match="mul inputs differ in height: H x H x 6 and 1 x H x 6"):
        loads("net n(H)\ninput x H x H x 6\ninput y 1 x H x 6\na from x, y: mul\n")
    graph = loads("net n(H)\ninput x H x H x 6\na: mul { identity; gap | sigmoid }\n").graph
    assert str(graph.stage("a.mul").known_shape) == "H x H x 6"


def test_mul_holds_and_counts_nothing() -> None:
    inputs = [Shape((3, 2, 4))] * 2
    assert OP.parameters(inputs) == {}
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from netspec.ir.ops.adaptive_avgpool import AdaptiveAveragePool
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.shapes import Field, Kernel, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, refusal

sizes = st.tuples(st.integers(1, 8), st.integers(1, 8))


@given(size=sizes, out=sizes)
@example(size=(6, 8), out=(3, 4))
@example(size=(7, 5), out=(3, 8))
def test_adaptive_avgpool_is_the_mean_of_each_window(
    size: tuple[int, int], out: tuple[int, int]
) -> None:
    op, inputs = AdaptiveAveragePool(size=out), [Shape((*size, 2))]
    x = images(inputs[0])
    y = np.zeros((2, 2, *out))
    for n, c, i, j in np.ndindex(*y.shape):
        rows = range(floor(i * size[0] / out[0]), ceil((i + 1) * size[0] / out[0]))
        columns = range(floor(j * size[1] / out[1]), ceil((j + 1) * size[1] / out[1]))
        y[n, c, i, j] = np.mean([float(x[n, c, u, v]) for u in rows for v in columns])
    assert op.shape(inputs) == (*out, 2)
    assert_same(op.reference(inputs, x), y)
    module = op.module(inputs)
    assert module is not None
    assert torch.equal(module(x), op.reference(inputs, x))


def test_where_the_output_divides_the_input_it_is_an_average_pool() -> None:
    inputs = [Shape((6, 8, 3))]
    op, pool = AdaptiveAveragePool(size=(3, 4)), AvgPool(kernel=Kernel(2, 2, stride=2))
    x = images(inputs[0])
    assert_same(op.reference(inputs, x), pool.reference(inputs, x))
    before = Field(size=(3, 3), start=(-1, -1), stride=(2, 2))
    assert op.field([before], inputs) == pool.field([before], inputs)


def test_windows_of_seven_positions_in_three() -> None:
    op, inputs = AdaptiveAveragePool(size=(3, 3)), [Shape((7, 7, 1))]
    assert op.bounds(0, inputs) == [(0, 3), (2, 5), (4, 7)]
    field = op.field([Field()], inputs)
    assert field.size == (3, 3)
    assert [field.reaches[0].at(i) for i in range(3)] == [(0, 2), (2, 4), (4, 6)]


@pytest.mark.parametrize("count", [8191, 10**9 + 7])
@pytest.mark.parametrize("size", [7, 10007])
def test_the_field_of_a_large_output_has_no_span_for_each_output(size: int, count: int) -> None:
    op, inputs = AdaptiveAveragePool(size=(count, 1)), [Shape((size, 1, 1))]
    reach = op.field([Field()], inputs).reaches[0]
    for i in (0, 1, count // 3, count - 1):
        assert reach.at(i) == (i * size // count, -(-(i + 1) * size // count) - 1)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(AdaptiveAveragePool(size=(2, 4)), images((3, 5, 2)))


def test_it_has_no_parameters_and_multiplies_nothing() -> None:
    op, inputs = AdaptiveAveragePool(size=(7, 7)), [Shape((13, 13, 256))]
    assert op.derivation(0, inputs) == "the size of the pool's output"
    assert op.derivation(2, inputs) is None
    assert op.parameters(inputs) == {}
    assert 0 in op.macs(inputs)


@pytest.mark.parametrize("size", [(4,), (12,)])
def test_a_vector_is_refused(size: tuple[int]) -> None:
    assert refusal(AdaptiveAveragePool(size=(1, 1)), size).code == "NS206"

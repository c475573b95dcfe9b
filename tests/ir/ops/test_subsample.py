from __future__ import annotations

import numpy as np
import pytest

from netspec.ir.operator import Parameter
from netspec.ir.ops.subsample import Subsample
from netspec.ir.shapes import Kernel, Shape
from tests.ir.ops.helpers import (
    Sliding,
    assert_gradients,
    assert_same,
    fitting_shape,
    images,
    mistakes,
    over_windows,
    random_parameters,
    refusal,
    written_mistakes,
)

S2 = Subsample(kernel=Kernel(2, 2, None, 2), by="mean")
MAP = [Shape((28, 28, 6))]


@pytest.mark.parametrize("by", ["mean", "sum"])
@over_windows()
def test_subsample_is_its_formula(sliding: Sliding, by: str) -> None:
    op, inputs = Subsample(**sliding.attributes, by=by), [sliding.shape(3)]
    height, width, _ = fitting_shape(op, *inputs)
    x, parameters = images(inputs[0]), random_parameters(op, inputs)
    divisor = sliding.kernel[0] * sliding.kernel[1] if by == "mean" else 1
    y = np.zeros((2, 3, height, width))
    for n, c, i, j in np.ndindex(*y.shape):
        total = sum(float(x[n, c, row, column]) for _, _, row, column in sliding.taps(i, j))
        coefficient, bias = (float(parameters[name][c]) for name in ("coefficient", "bias"))
        y[n, c, i, j] = coefficient * total / divisor + bias
    assert_same(op.reference(inputs, x, **parameters), y)


@pytest.mark.parametrize("by", ["mean", "sum"])
def test_gradients_are_those_of_finite_differences(by: str) -> None:
    op = Subsample(kernel=Kernel(2, 3, None, 2), by=by, pad=(0, 1, 1, 0), round="ceil")
    assert_gradients(op, images((3, 4, 2)))


def test_the_second_row_of_lenet() -> None:
    assert S2.shape(MAP) == (14, 14, 6)
    assert S2.kernel_text(MAP) == "2x2/2"
    assert S2.parameters(MAP) == {
        "coefficient": Parameter((6,), value=1.0),
        "bias": Parameter((6,)),
    }


def test_a_subsampling_counts_neither_products_nor_neurons() -> None:
    assert 0 in S2.macs(MAP)
    assert S2.neurons(MAP) == 0


def test_a_stride_given_twice_is_a_mistake() -> None:
    errors = written_mistakes(Subsample, kernel=Kernel(2, 2, None, 2), stride=(2, 2), by="sum")
    assert errors == [("NS136", "stride")]


def test_channels_in_the_kernel_are_a_mistake() -> None:
    assert written_mistakes(Subsample, kernel=Kernel(2, 2, 6, 2), by="sum") == [("NS132", "kernel")]


def test_padding_needs_no_word_on_counting_it() -> None:
    assert mistakes(Subsample(kernel=Kernel(3, 3), pad="half", by="mean")) == []


def test_a_vector_is_refused() -> None:
    assert refusal(S2, (6,)).code == "NS206"

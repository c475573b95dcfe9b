from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from netspec.ir.attributes import Padding
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Field, Kernel, Shape
from tests.ir.ops.helpers import (
    Sliding,
    assert_gradients,
    assert_same,
    fitting_shape,
    images,
    over_windows,
    refusal,
    written_mistakes,
)

OVERLAPPING = MaxPool(kernel=Kernel(3, 3, None, 2), round="ceil")
MAP = [Shape((55, 55, 96))]


@over_windows(dilations=3)
def test_maxpool_is_the_largest_value_of_each_window(sliding: Sliding) -> None:
    op, inputs = MaxPool(**sliding.attributes, dilation=sliding.dilation), [sliding.shape(2)]
    height, width, _ = fitting_shape(op, *inputs)
    x = images(inputs[0])
    y = np.zeros((2, 2, height, width))
    for n, c, i, j in np.ndindex(*y.shape):
        y[n, c, i, j] = max(float(x[n, c, r, s]) for _, _, r, s in sliding.taps(i, j))
    assert_same(op.reference(inputs, x), y)


def test_padding_never_wins() -> None:
    op, inputs = MaxPool(kernel=Kernel(3, 3, None, 2), pad=(1, 1, 1, 1)), [Shape((5, 5, 3))]
    x = -1 - images(inputs[0]).abs()
    assert op.reference(inputs, x).max() < -1


def test_pytorch_rounds_up_in_the_same_way() -> None:
    for size in range(4, 11):
        op = MaxPool(kernel=Kernel(3, 2, None, 2), pad=(1, 1, 1, 1), round="ceil")
        inputs = [Shape((size, 11 - size, 2))]
        x = images(inputs[0])
        expected = F.max_pool2d(x, (3, 2), 2, padding=(1, 1), ceil_mode=True)
        assert_same(op.reference(inputs, x), expected)


def test_gradients_are_those_of_finite_differences() -> None:
    op = MaxPool(kernel=Kernel(2, 3, None, 2), pad=(0, 1, 1, 1), round="ceil")
    assert_gradients(op, images((5, 4, 2)))


def test_the_first_pool_of_alexnet() -> None:
    assert OVERLAPPING.shape(MAP) == (27, 27, 96)
    assert OVERLAPPING.kernel_text(MAP) == "3x3/2"
    assert OVERLAPPING.derivation(1, MAP) == "ceil((55-3)/2) + 1"
    assert OVERLAPPING.derivation(2, MAP) is None


def test_a_pool_holds_and_multiplies_nothing() -> None:
    assert OVERLAPPING.parameters(MAP) == {}
    assert 0 in OVERLAPPING.macs(MAP)
    assert OVERLAPPING.neurons(MAP) == 0


def test_a_pool_widens_the_field_and_its_stride() -> None:
    field = OVERLAPPING.field([Field(size=(11, 11), stride=(4, 4))], MAP)
    assert field == Field(size=(19, 19), stride=(8, 8))


def test_a_dilation_spreads_the_taps_of_a_window() -> None:
    op, inputs = MaxPool(kernel=Kernel(2, 1), dilation=(3, 5)), [Shape((5, 2, 1))]
    assert op.dilation == (3, 1)  # a single tap has no distance to another
    x = images(inputs[0])
    assert_same(op.reference(inputs, x), torch.maximum(x[:, :, :2], x[:, :, 3:]))
    assert op.derivation(0, inputs) == "5-4 + 1"
    assert op.field([Field()], inputs) == Field(size=(4, 1))


@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (1, 1, 1, 1)])
@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_pytorchs_module_has_the_dilation(pad: Padding, rounding: str) -> None:
    op = MaxPool(kernel=Kernel(2, 3, None, 2), pad=pad, dilation=(2, 1), round=rounding)
    inputs = [Shape((7, 8, 2))]
    x, module = images(inputs[0]), op.module(inputs)
    assert module is not None
    assert torch.equal(module(x), op.reference(inputs, x))


def test_a_vector_is_refused() -> None:
    assert refusal(OVERLAPPING, (96,)).code == "NS206"


def test_a_stride_given_twice_is_a_mistake() -> None:
    errors = written_mistakes(MaxPool, kernel=Kernel(3, 3, None, 2), stride=(2, 2))
    assert errors == [("NS136", "stride")]


def test_channels_in_the_kernel_are_a_mistake() -> None:
    assert written_mistakes(MaxPool, kernel=Kernel(3, 3, 96, 2)) == [("NS132", "kernel")]


def test_padding_beyond_the_last_window_of_a_clipped_pool_makes_no_output() -> None:
    op = MaxPool(kernel=Kernel(2, 2, None, 2), pad=(0, 2, 0, 2), round="ceil")
    inputs = [Shape((4, 4, 1))]
    y = op.reference(inputs, torch.rand(1, 1, 4, 4))
    assert tuple(y.shape[2:]) == op.shape(inputs)[:2] == (2, 2)

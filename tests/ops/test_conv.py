from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import pytest
from torch import Tensor

from netspec.operator import Parameter
from netspec.ops.conv import Conv
from netspec.shapes import Kernel, Shape
from tests.ops.helpers import (
    Sliding,
    assert_gradients,
    assert_same,
    fitting_shape,
    images,
    mistakes,
    over_windows,
    random_parameters,
    refusal,
)

ALEXNET_C1 = Conv(kernel=Kernel(11, 11, 3, 4), count=96, round="ceil")
IMAGE = [Shape((224, 224, 3))]
GROUPED = Conv(kernel=Kernel(5, 3), count=6, pad=(2, 2, 1, 1), groups=2)
GROUPED_MAP = [Shape((9, 8, 4))]


def convolve(
    sliding: Sliding,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    groups: int,
    out: Sequence[int],
) -> np.ndarray:
    maps, filters = x.numpy(), weight.numpy()
    count, seen = filters.shape[:2]
    y = np.zeros((len(maps), count, *out))
    for n, o, i, j in np.ndindex(*y.shape):
        first = o // (count // groups) * seen
        total = 0.0 if bias is None else float(bias[o])
        for u, v, row, column in sliding.taps(i, j):
            for c in range(seen):
                total += filters[o, c, u, v] * maps[n, first + c, row, column]
        y[n, o, i, j] = total
    return y


@pytest.mark.parametrize(
    ("channels", "groups", "count", "bias"), [(2, 1, 3, True), (4, 2, 2, False), (3, 3, 6, True)]
)
@over_windows(dilations=3)
def test_conv_is_its_formula(
    sliding: Sliding, channels: int, groups: int, count: int, bias: bool
) -> None:
    op = Conv(
        **sliding.attributes, dilation=sliding.dilation, count=count, groups=groups, bias=bias
    )
    inputs = [sliding.shape(channels)]
    out = fitting_shape(op, *inputs)
    x, held = images(inputs[0]), random_parameters(op, inputs)
    expected = convolve(sliding, x, held["weight"], held.get("bias"), groups, out[:2])
    assert_same(op.reference(inputs, x, **held), expected)


def test_overhang_of_a_convolution_is_over_zeros() -> None:
    op = Conv(kernel=Kernel(2, 2, None, 2), count=1, round="ceil", bias=False)
    inputs = [Shape((3, 3, 1))]
    x = images(inputs[0], batch=1).abs()
    y = op.reference(inputs, x, weight=x.new_ones(1, 1, 2, 2))
    assert_same(y[0, 0, 1, 1], x[0, 0, 2, 2])


def test_half_and_same_are_short_for_the_four_sides() -> None:
    inputs = [Shape((7, 6, 2))]
    x = images(inputs[0])
    half = Conv(kernel=Kernel(3, 5), count=2, pad="half")
    held = random_parameters(half, inputs)
    sides = Conv(kernel=Kernel(3, 5), count=2, pad=(1, 1, 2, 2))
    assert_same(half.reference(inputs, x, **held), sides.reference(inputs, x, **held))
    same = Conv(kernel=Kernel(2, 4), count=2, pad="same")
    held = random_parameters(same, inputs)
    sides = Conv(kernel=Kernel(2, 4), count=2, pad=(0, 1, 1, 2))
    assert_same(same.reference(inputs, x, **held), sides.reference(inputs, x, **held))


def test_gradients_are_those_of_finite_differences() -> None:
    op = Conv(kernel=Kernel(2, 2), count=2, stride=(2, 1), groups=2, pad=(1, 0, 0, 1), round="ceil")
    assert_gradients(op, images((4, 3, 2), batch=1))


def test_rows_and_columns_are_sized_each_by_its_own_numbers() -> None:
    op = Conv(kernel=Kernel(3, 2), count=7, stride=(2, 3), pad=(1, 2, 0, 1), dilation=(2, 1))
    assert op.shape([Shape((10, 12, 5))]) == (5, 4, 7)


def test_the_stride_of_the_kernel_and_the_attribute_mean_the_same() -> None:
    inside = Conv(kernel=Kernel(3, 3, None, 2), count=4)
    beside = Conv(kernel=Kernel(3, 3), stride=(2, 2), count=4)
    assert inside.shape([Shape((9, 9, 1))]) == beside.shape([Shape((9, 9, 1))]) == (4, 4, 4)


def test_the_first_row_of_alexnet() -> None:
    assert ALEXNET_C1.shape(IMAGE) == (55, 55, 96)
    assert prod(ALEXNET_C1.macs(IMAGE)) == 105_415_200
    assert ALEXNET_C1.neurons(IMAGE) == 290_400
    assert ALEXNET_C1.kernel_text(IMAGE) == "11x11x3/4, 96"
    assert ALEXNET_C1.derivation(0, IMAGE) == "ceil((224-11)/4) + 1"
    assert ALEXNET_C1.derivation(2, IMAGE) == "96 filters"
    assert sum(p.elements for p in ALEXNET_C1.parameters(IMAGE).values()) == (11 * 11 * 3 + 1) * 96


def test_filters_of_a_group_see_its_channels_only() -> None:
    assert GROUPED.parameters(GROUPED_MAP) == {
        "weight": Parameter((6, 2, 5, 3), fan_in=30),
        "bias": Parameter((6,)),
    }
    assert GROUPED.shape(GROUPED_MAP) == (9, 8, 6)
    assert prod(GROUPED.macs(GROUPED_MAP)) == 5 * 3 * 2 * 6 * 9 * 8
    assert GROUPED.kernel_text(GROUPED_MAP) == "5x3x2/1, 6"


def test_bias_off_leaves_the_bias_out() -> None:
    op = Conv(kernel=Kernel(1, 1), count=2, bias=False)
    assert list(op.parameters(GROUPED_MAP)) == ["weight"]


def test_unequal_strides_are_printed_both() -> None:
    op = Conv(kernel=Kernel(3, 3), stride=(2, 1), count=8)
    assert op.kernel_text(GROUPED_MAP) == "3x3x4/2x1, 8"


def test_a_vector_is_refused() -> None:
    error = refusal(GROUPED, (400,))
    assert error.code == "NS206"
    assert "conv needs a map" in error.message


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    error = refusal(GROUPED, (9, 8, 5))
    assert error.code == "NS207"
    assert error.message == "2 groups do not divide 5 channels"
    assert error.origins == ((0, 2),)


def test_groups_that_do_not_divide_the_filters_are_a_mistake() -> None:
    assert mistakes(Conv(kernel=Kernel(1, 1), count=3, groups=2)) == [("NS132", "groups")]


def test_a_stride_given_twice_is_a_mistake() -> None:
    op = Conv(kernel=Kernel(3, 3, None, 2), stride=(2, 2), count=1)
    assert mistakes(op) == [("NS136", "stride")]


def test_channels_in_the_kernel_are_no_mistake() -> None:
    assert mistakes(ALEXNET_C1) == []

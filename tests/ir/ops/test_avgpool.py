from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from netspec.ir.attributes import Padding
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.shapes import Field, Kernel, Shape
from tests.ir.ops.helpers import (
    Sliding,
    assert_gradients,
    assert_same,
    fitting_shape,
    images,
    mistakes,
    over_windows,
    refusal,
    written_mistakes,
)

AUXILIARY = AvgPool(kernel=Kernel(5, 5, None, 3))
MAP = [Shape((14, 14, 512))]


@pytest.mark.parametrize("count_pad", [True, False])
@over_windows(dilations=3)
def test_avgpool_is_the_mean_of_each_window(sliding: Sliding, count_pad: bool) -> None:
    op = AvgPool(**sliding.attributes, dilation=sliding.dilation, count_pad=count_pad)
    inputs = [sliding.shape(2)]
    height, width, _ = fitting_shape(op, *inputs)
    x = images(inputs[0])
    y = np.zeros((2, 2, height, width))
    for n, c, i, j in np.ndindex(*y.shape):
        seen = [float(x[n, c, r, s]) for _, _, r, s in sliding.taps(i, j)]
        counted = len(list(sliding.taps(i, j, sliding.pad))) if count_pad else len(seen)
        y[n, c, i, j] = sum(seen) / counted
    assert_same(op.reference(inputs, x), y)


@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 4),
    pads=st.booleans(),
    rounds_up=st.booleans(),
    counts=st.booleans(),
)
@example(size=(6, 7), kernel=(3, 3), stride=2, pads=True, rounds_up=True, counts=True)
@example(size=(6, 6), kernel=(3, 3), stride=2, pads=False, rounds_up=True, counts=True)
def test_avgpool_agrees_with_pytorch(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    pads: bool,
    rounds_up: bool,
    counts: bool,
) -> None:
    down, right = (kernel[0] // 2, kernel[1] // 2) if pads else (0, 0)
    op = AvgPool(
        kernel=Kernel(*kernel, None, stride),
        pad=(down, down, right, right),
        round="ceil" if rounds_up else "floor",
        count_pad=counts,
    )
    inputs = [Shape((*size, 2))]
    x = images(inputs[0])
    expected = F.avg_pool2d(x, kernel, stride, (down, right), rounds_up, counts)
    assert_same(op.reference(inputs, x), expected)


@pytest.mark.parametrize("count_pad", [True, False, None])
def test_what_hangs_over_is_never_counted(count_pad: bool | None) -> None:
    op = AvgPool(kernel=Kernel(2, 2, None, 2), round="ceil", count_pad=count_pad)
    inputs = [Shape((3, 5, 1))]
    ones = torch.ones(1, 1, 3, 5, dtype=torch.float64)
    assert_same(op.reference(inputs, ones), ones[:, :, :2, :3])


def test_counted_padding_pulls_the_mean_of_a_corner_down() -> None:
    ones, inputs = torch.ones(1, 1, 3, 3, dtype=torch.float64), [Shape((3, 3, 1))]
    corners = {}
    for count_pad in (True, False):
        op = AvgPool(kernel=Kernel(3, 3), pad=(1, 1, 1, 1), count_pad=count_pad)
        corners[count_pad] = op.reference(inputs, ones)[0, 0, 0, 0].item()
    assert corners == {True: pytest.approx(4 / 9), False: pytest.approx(1)}


@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
def test_gradients_are_those_of_finite_differences(dilation: tuple[int, int]) -> None:
    op = AvgPool(
        kernel=Kernel(3, 2, None, 2),
        pad=(1, 0, 0, 1),
        round="ceil",
        count_pad=False,
        dilation=dilation,
    )
    assert_gradients(op, images((5, 4, 2)))


def test_a_dilation_spreads_the_taps_of_a_window() -> None:
    op, inputs = AvgPool(kernel=Kernel(2, 1), dilation=(3, 5)), [Shape((5, 2, 1))]
    assert op.dilation == (3, 1)  # a single tap has no distance to another
    x = images(inputs[0])
    assert_same(op.reference(inputs, x), (x[:, :, :2] + x[:, :, 3:]) / 2)
    assert op.derivation(0, inputs) == "5-4 + 1"
    assert op.field([Field()], inputs) == Field(size=(4, 1))


def test_nan_stays_in_the_windows_that_hold_it() -> None:
    op = AvgPool(kernel=Kernel(2, 2), dilation=(2, 2), pad=(1, 1, 1, 1), count_pad=False)
    inputs = [Shape((5, 5, 2))]
    x = images(inputs[0], batch=1)
    x[0, 1, 2, 2] = torch.nan
    y = op.reference(inputs, x)
    # Taps of window (i, j) are at rows i - 1 and i + 1; row 2 is one of windows 1 and 3.
    is_nan = torch.zeros(y.shape, dtype=torch.bool)
    is_nan[0, 1, 1::2, 1::2] = True
    assert torch.equal(y.isnan(), is_nan)


def test_the_pool_of_an_auxiliary_classifier_of_googlenet() -> None:
    assert AUXILIARY.shape(MAP) == (4, 4, 512)
    assert AUXILIARY.kernel_text(MAP) == "5x5/3"
    assert AUXILIARY.derivation(0, MAP) == "floor((14-5)/3) + 1"
    assert AUXILIARY.parameters(MAP) == {}
    assert 0 in AUXILIARY.macs(MAP)
    assert AUXILIARY.neurons(MAP) == 0


@pytest.mark.parametrize("pad", [(1, 1, 1, 1), (0, 0, 0, 1), "same", "half"])
def test_padding_has_to_say_whether_it_counts(pad: Padding) -> None:
    assert mistakes(AvgPool(kernel=Kernel(3, 3), pad=pad)) == [("NS133", "count_pad")]
    for count_pad in (True, False):
        assert mistakes(AvgPool(kernel=Kernel(3, 3), pad=pad, count_pad=count_pad)) == []


def test_without_padding_there_is_nothing_to_say() -> None:
    assert mistakes(AUXILIARY) == []
    assert mistakes(AvgPool(kernel=Kernel(1, 1), pad="same")) == []


def test_a_stride_given_twice_is_a_mistake() -> None:
    errors = written_mistakes(AvgPool, kernel=Kernel(3, 3, None, 2), stride=(1, 1))
    assert errors == [("NS136", "stride")]


def test_channels_in_the_kernel_are_a_mistake() -> None:
    assert written_mistakes(AvgPool, kernel=Kernel(3, 3, 8)) == [("NS132", "kernel")]


def test_a_vector_is_refused() -> None:
    assert refusal(AUXILIARY, (512,)).code == "NS206"

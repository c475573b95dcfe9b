from __future__ import annotations

from math import prod

import numpy as np
import pytest

from netspec.ir.operator import Parameter
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.local import Local
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.values import Table
from tests.helpers import codes
from tests.ir.ops.helpers import (
    Sliding,
    assert_gradients,
    assert_same,
    fitting_shape,
    images,
    mistakes,
    normal,
    over_windows,
    random_parameters,
    refusal,
    written_mistakes,
)

OP = Local(kernel=Kernel(3, 2), count=4, groups=2, stride=(2, 1))
MAP = [Shape((7, 5, 6))]


@pytest.mark.parametrize(
    ("channels", "groups", "count", "bias"), [(2, 1, 3, True), (4, 2, 2, False), (3, 3, 3, True)]
)
@over_windows(dilations=3)
def test_local_is_its_formula(
    sliding: Sliding, channels: int, groups: int, count: int, bias: bool
) -> None:
    op = Local(
        **sliding.attributes, dilation=sliding.dilation, count=count, groups=groups, bias=bias
    )
    inputs = [sliding.shape(channels)]
    height, width, _ = fitting_shape(op, *inputs)
    x, parameters = images(inputs[0]), random_parameters(op, inputs)
    maps, weight = x.numpy(), parameters["weight"].numpy()
    seen = channels // groups
    y = np.zeros((2, count, height, width))
    for n, o, i, j in np.ndindex(*y.shape):
        first = o // (count // groups) * seen
        for u, v, row, column in sliding.taps(i, j):
            for c in range(seen):
                y[n, o, i, j] += weight[o, c, u, v, i, j] * maps[n, first + c, row, column]
        if bias:
            y[n, o, i, j] += parameters["bias"][o, i, j]
    assert_same(op.reference(inputs, x, **parameters), y)


@over_windows(dilations=2)
def test_local_with_equal_weights_everywhere_is_conv(sliding: Sliding) -> None:
    attributes = sliding.attributes | {"dilation": sliding.dilation, "count": 4, "groups": 2}
    local, conv = Local(**attributes), Conv(**attributes)
    inputs = [sliding.shape(4)]
    height, width, _ = fitting_shape(local, *inputs)
    x, shared = images(inputs[0]), random_parameters(conv, inputs)
    spread = {
        name: values[..., None, None].expand(*values.shape, height, width)
        for name, values in shared.items()
    }
    assert local.shape(inputs) == conv.shape(inputs)
    assert_same(local.reference(inputs, x, **spread), conv.reference(inputs, x, **shared))


def test_every_output_has_its_own_weights_and_bias() -> None:
    assert OP.shape(MAP) == (3, 4, 4)
    assert OP.parameters(MAP) == {
        "weight": Parameter((4, 3, 3, 2, 3, 4), fan_in=18),
        "bias": Parameter((4, 3, 4)),
    }


def test_every_output_adds_its_own_bias() -> None:
    parameters = {"weight": normal(4, 3, 3, 2, 3, 4) * 0, "bias": normal(4, 3, 4, seed=1)}
    y = OP.reference(MAP, images(MAP[0]), **parameters)
    assert_same(y, parameters["bias"].expand(2, 4, 3, 4))


def test_bias_off_leaves_the_bias_out() -> None:
    assert list(Local(kernel=Kernel(1, 1), count=2, bias=False).parameters(MAP)) == ["weight"]


def test_local_counts_as_a_convolution_of_its_size_does() -> None:
    assert prod(OP.macs(MAP)) == 3 * 2 * 3 * 4 * 3 * 4
    assert OP.neurons(MAP) == 3 * 4 * 4
    assert OP.kernel_text(MAP) == "3x2x3/2x1, 4"


def test_gradients_are_those_of_finite_differences() -> None:
    op = Local(kernel=Kernel(2, 2, None, 2), count=2, groups=2, round="ceil")
    assert_gradients(op, images((3, 3, 2), batch=1))


def test_a_vector_is_refused() -> None:
    error = refusal(OP, (210,))
    assert error.code == "NS206"
    assert "local needs a map" in error.message


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    assert refusal(OP, (7, 5, 5)).code == "NS207"


def test_mistakes_are_those_of_conv() -> None:
    kernel = Kernel(3, 3, None, 1)
    errors = written_mistakes(Local, kernel=kernel, stride=(1, 1), count=3, groups=2)
    assert errors == [("NS136", "stride"), ("NS132", "groups")]


def test_a_connection_table_is_refused() -> None:
    table = Table("table", ((True, False), (True, True)))
    op = Local(kernel=Kernel(3, 3), count=2, connect=table)
    assert mistakes(op) == [("NS136", "connect")]
    rows = "a: %s 3x3, 2, connect=table\nconnect table {\n X.\n XX\n}\n"
    header = "net n\ninput image 4x4x2\n"
    assert codes(header + rows % "conv") == []
    assert codes(header + rows % "local") == ["NS136"]

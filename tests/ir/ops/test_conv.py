from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import pytest
import torch
from torch import Tensor

import netspec
from netspec import load, loads
from netspec.ir.operator import Parameter
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.values import Table
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
    x, parameters = images(inputs[0]), random_parameters(op, inputs)
    expected = convolve(sliding, x, parameters["weight"], parameters.get("bias"), groups, out[:2])
    assert_same(op.reference(inputs, x, **parameters), expected)


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
    parameters = random_parameters(half, inputs)
    sides = Conv(kernel=Kernel(3, 5), count=2, pad=(1, 1, 2, 2))
    assert_same(half.reference(inputs, x, **parameters), sides.reference(inputs, x, **parameters))
    same = Conv(kernel=Kernel(2, 4), count=2, pad="same")
    parameters = random_parameters(same, inputs)
    sides = Conv(kernel=Kernel(2, 4), count=2, pad=(0, 1, 1, 2))
    assert_same(same.reference(inputs, x, **parameters), sides.reference(inputs, x, **parameters))


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (1, 1, 0, 0), (0, 1, 0, 1)])
@pytest.mark.parametrize("width", [3, 4])
def test_one_column_of_filters_that_see_one_channel(
    width: int, pad: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    """PyTorch 2.13 answers from foreign memory in bfloat16, if it is given the stride."""
    conv = Conv(kernel=Kernel(3, 3), count=32, groups=16, stride=(1, 3), pad=pad)
    inputs = [Shape((7, width, 16))]
    assert conv.shape(inputs)[1] == 1
    x = images(inputs[0]).to(dtype).contiguous(memory_format=torch.channels_last)
    parameters = {name: p.to(dtype) for name, p in random_parameters(conv, inputs).items()}
    exact = {name: p.double() for name, p in parameters.items()}
    wanted = conv.reference(inputs, x.double(), **exact)
    y = conv.reference(inputs, x, **parameters)
    # 9 products and a bias, summed in float32, rounded once to dtype
    near = torch.finfo(dtype).eps * float(wanted.abs().max().clamp_min(1)) * 2
    torch.testing.assert_close(y.double(), wanted, atol=near, rtol=0)


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
    errors = written_mistakes(Conv, kernel=Kernel(3, 3, None, 2), stride=(2, 2), count=1)
    assert errors == [("NS136", "stride")]


def test_channels_in_the_kernel_are_no_mistake() -> None:
    assert written_mistakes(Conv, kernel=Kernel(11, 11, 3, 4), count=96) == []


# ------------------------------------------------------------------------------- connection tables

TABLE = Table(
    "table",
    tuple(tuple(c == "X" for c in line) for line in ("X.XX.", "XX.X.", ".XXX.")),
)  # the last filter sees nothing
SEEN = [[0, 1], [1, 2], [0, 2], [0, 1, 2], []]
CONNECTED = Conv(kernel=Kernel(3, 2), count=5, connect=TABLE)
THREE = [Shape((6, 5, 3))]


@pytest.mark.parametrize("bias", [True, False])
@over_windows(dilations=2)
def test_a_connected_convolution_sums_over_the_maps_it_sees(sliding: Sliding, bias: bool) -> None:
    op = Conv(**sliding.attributes, dilation=sliding.dilation, count=5, connect=TABLE, bias=bias)
    inputs = [sliding.shape(3)]
    height, width, _ = fitting_shape(op, *inputs)
    x, parameters = images(inputs[0]), random_parameters(op, inputs)
    y = np.zeros((2, 5, height, width))
    for n, i, j in np.ndindex(2, height, width):
        pair = 0
        for o, maps in enumerate(SEEN):
            y[n, o, i, j] = parameters["bias"][o] if bias else 0
            for c in maps:
                for u, v, row, column in sliding.taps(i, j):
                    y[n, o, i, j] += parameters["weight"][pair, u, v] * x[n, c, row, column]
                pair += 1
    assert_same(op.reference(inputs, x, **parameters), y)


def test_a_connected_map_is_the_sum_of_convolutions_of_single_maps() -> None:
    x, parameters = images(THREE[0]), random_parameters(CONNECTED, THREE)
    y = CONNECTED.reference(THREE, x, **parameters)
    pair = 0
    for o, maps in enumerate(SEEN):
        expected = parameters["bias"][o].expand(2, 1, 4, 4)
        for c in maps:
            kernel = parameters["weight"][pair][None, None]
            expected = expected + torch.nn.functional.conv2d(x[:, c : c + 1], kernel)
            pair += 1
        assert_same(y[:, o : o + 1], expected)
    assert pair == len(CONNECTED.pairs) == 9


def test_a_full_table_is_a_plain_convolution() -> None:
    full = Table("full", ((True,) * 5,) * 3)
    x = images(THREE[0])
    plain = Conv(kernel=Kernel(3, 2), count=5)
    parameters = random_parameters(plain, THREE)
    pairs = {"weight": parameters["weight"].reshape(15, 3, 2), "bias": parameters["bias"]}
    connected = Conv(kernel=Kernel(3, 2), count=5, connect=full)
    assert_same(connected.reference(THREE, x, **pairs), plain.reference(THREE, x, **parameters))


def test_gradients_of_a_connected_convolution() -> None:
    assert_gradients(
        Conv(kernel=Kernel(2, 2), count=5, stride=(2, 1), connect=TABLE, round="ceil"),
        images((4, 3, 3), batch=1),
    )


def test_a_table_counts_its_pairs_only() -> None:
    assert CONNECTED.pairs == [(o, c) for o, maps in enumerate(SEEN) for c in maps]
    assert CONNECTED.parameters(THREE) == {
        "weight": Parameter((9, 3, 2), fan_in=9 * 3 * 2 // 5),
        "bias": Parameter((5,)),
    }
    assert prod(CONNECTED.macs(THREE)) == 3 * 2 * 9 * 4 * 4
    assert CONNECTED.neurons(THREE) == 4 * 4 * 5
    assert CONNECTED.kernel_text(THREE) == "3x2x3/1, 5"


def test_the_table_of_lenet5_is_the_papers() -> None:
    op = load("lenet5").graph.stage("C3").op
    assert isinstance(op, Conv)
    seen = [[i for o, i in op.pairs if o == column] for column in range(16)]
    adjacent = [[(first + k) % 6 for k in range(n)] for n in (3, 4) for first in range(6)]
    apart = [[first, first + 1, (first + 3) % 6, (first + 4) % 6] for first in range(3)]
    assert seen == [sorted(maps) for maps in [*adjacent, *apart, list(range(6))]]


def test_lenet5_has_60850_parameters() -> None:
    model = netspec.compile("lenet5")
    sizes = {name: value.numel() for name, value in model.state_dict().items()}
    assert sum(sizes.values()) == 60_850
    assert sizes["C3.weight"] == 60 * 5 * 5
    assert model.C3.weight.shape == (60, 5, 5)


def test_a_connected_convolution_is_exported() -> None:
    rows = "a: conv 3x2, 4, connect=table | relu\nconnect table {\n X.XX\n XX.X\n .XXX\n}\n"
    net = loads(f"net n\ninput image 6x5x3\n{rows}")
    model, x = netspec.reference(net), torch.rand(2, 3, 6, 5)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


def test_lines_and_columns_of_a_table_are_maps_and_filters() -> None:
    error = refusal(CONNECTED, (6, 5, 4))
    assert error.code == "NS209"
    assert error.message == "the table `table` has 3 lines, and the input 4 channels"
    assert mistakes(Conv(kernel=Kernel(1, 1), count=4, connect=TABLE)) == [("NS132", "connect")]
    grouped = Conv(kernel=Kernel(1, 1), count=5, groups=5, connect=TABLE)
    assert mistakes(grouped) == [("NS136", "groups")]
    assert mistakes(CONNECTED) == []


def test_a_weight_comes_back_from_zeros_between_the_kernels_that_a_table_connects() -> None:
    weight = torch.rand(9, 3, 2)
    dense = CONNECTED.dense(weight)
    assert dense.shape == (5, 3, 3, 2)
    assert torch.equal(CONNECTED.sparse(dense), weight)
    plain = torch.rand(4, 3, 2, 2)
    assert Conv(kernel=Kernel(2, 2), count=4).sparse(plain) is plain

from __future__ import annotations

from math import gcd, prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from netspec.ir.ops.conv import Conv
from netspec.ir.ops.deconv import Deconv
from netspec.ir.shapes import Field, Kernel, Shape
from tests.ir.ops.helpers import (
    assert_gradients,
    assert_same,
    images,
    mistakes,
    random_parameters,
    refusal,
    written_mistakes,
)

UP = Deconv(kernel=Kernel(4, 4, stride=2), count=21, pad=(1, 1, 1, 1))
MAP = [Shape((7, 5, 8))]

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    size=pairs,
    kernel=pairs,
    stride=pairs,
    pad=st.tuples(*[st.integers(0, 2)] * 4),
    extra=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=pairs,
    groups=st.sampled_from([1, 2]),
)
@example(
    size=(2, 3),
    kernel=(3, 2),
    stride=(2, 3),
    pad=(2, 0, 0, 1),
    extra=(1, 2),
    dilation=(1, 3),
    groups=2,
)
@example(
    size=(3, 3), kernel=(1, 2), stride=(3, 3), pad=(0, 1, 0, 0), extra=(2, 0), dilation=(2, 1),
    groups=1,
)  # fmt: skip
def test_deconv_adds_a_multiple_of_the_kernel_for_each_value(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int, int, int],
    extra: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> None:
    extra = min(extra[0], stride[0] - 1), min(extra[1], stride[1] - 1)
    op = Deconv(
        kernel=Kernel(*kernel),
        count=4,
        stride=stride,
        pad=pad,
        dilation=dilation,
        output_pad=extra,
        groups=groups,
    )
    inputs = [Shape((*size, 2))]
    sides = pad[:2], pad[2:]
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    whole = [(n - 1) * s + k + e for n, s, k, e in zip(size, stride, extents, extra, strict=True)]
    out = [n - sum(side) for n, side in zip(whole, sides, strict=True)]
    if min(out) < 1:
        assert refusal(op, *inputs).code == "NS211"
        return
    assert op.shape(inputs) == (*out, 4)
    parameters = random_parameters(op, inputs)
    w, b = parameters["weight"].numpy(), parameters["bias"].numpy()
    x = images(inputs[0])
    y = np.zeros((2, 4, *out)) + b[:, None, None]
    for n, o, c, m, k, u, v in np.ndindex(2, 4, 2, *size, *kernel):
        i = m * stride[0] + u * dilation[0] - pad[0]
        j = k * stride[1] + v * dilation[1] - pad[2]
        seen = o // (4 // groups) == c // (2 // groups)
        if seen and 0 <= i < out[0] and 0 <= j < out[1]:
            y[n, o, i, j] += w[c, o % (4 // groups), u, v] * float(x[n, c, m, k])
    assert_same(op.reference(inputs, x, **parameters), y)


def test_deconv_is_the_gradient_of_the_convolution() -> None:
    attributes = {"kernel": Kernel(3, 2, stride=2), "pad": (2, 2, 1, 1), "dilation": (2, 1)}
    conv = Conv(**attributes, count=5, bias=False)
    wide = [Shape((6, 5, 3))]
    weight = random_parameters(conv, wide)["weight"]
    x = images(wide[0]).requires_grad_()
    y = conv.reference(wide, x, weight=weight)
    dy = images(conv.shape(wide))
    (dx,) = torch.autograd.grad(y, x, dy)
    op = Deconv(**attributes, count=3, output_pad=(1, 1), bias=False)
    assert op.shape([conv.shape(wide)]) == wide[0]
    assert_same(op.reference([conv.shape(wide)], dy, weight=weight), dx)


@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_are_those_of_finite_differences(groups: int, dilation: tuple[int, int]) -> None:
    op = Deconv(
        kernel=Kernel(3, 2),
        count=4,
        stride=(2, 1),
        pad=(1, 0, 0, 1),
        dilation=dilation,
        output_pad=(1, 0),
        groups=groups,
    )
    assert_gradients(op, images((2, 3, 2)))


def test_sizes_and_counts() -> None:
    assert UP.shape(MAP) == (14, 10, 21)
    assert UP.derivation(0, MAP) == "(7-1)*2-2 + 4"
    assert UP.derivation(2, MAP) == "21 filters"
    assert UP.kernel_text(MAP) == "4x4x8/2, 21"
    assert UP.parameters(MAP)["weight"].shape == (8, 21, 4, 4)
    assert UP.parameters(MAP)["bias"].shape == (21,)
    assert prod(UP.macs(MAP)) == 7 * 5 * 8 * 21 * 16
    assert UP.neurons(MAP) == 14 * 10 * 21
    spread = Deconv(kernel=Kernel(3, 1, stride=2), count=4, dilation=(3, 9))
    assert spread.dilation == (3, 1)  # a single tap has no distance to another
    assert spread.shape(MAP) == (19, 9, 4)
    assert spread.derivation(0, MAP) == "(7-1)*2 + 7"
    assert prod(spread.macs(MAP)) == 7 * 5 * 8 * 4 * 3
    grouped = Deconv(kernel=Kernel(2, 2), count=4, groups=2, bias=False)
    assert {n: p.shape for n, p in grouped.parameters(MAP).items()} == {"weight": (8, 2, 2, 2)}
    assert prod(grouped.macs(MAP)) == 7 * 5 * 8 * 2 * 4


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 4),
    size=st.integers(1, 6),
)
@example(kernel=5, stride=4, pad=1, dilation=6, size=6)
def test_the_field_has_the_values_that_an_output_depends_on(
    kernel: int, stride: int, pad: int, dilation: int, size: int
) -> None:
    op = Deconv(
        kernel=Kernel(kernel, 1),
        count=1,
        stride=(stride, 1),
        pad=(pad, pad, 0, 0),
        dilation=(dilation, 1),
    )
    inputs = [Shape((size, 1, 1))]
    if (size - 1) * stride + dilation * (kernel - 1) + 1 - 2 * pad < 1:
        return
    down = op.field([Field()], inputs).reaches[0]
    one_hot = torch.eye(size, dtype=torch.float64)[:, None, :, None]
    ones = {"weight": torch.ones(1, 1, kernel, 1).double(), "bias": torch.zeros(1).double()}
    seen = op.reference(inputs, one_hot, **ones)[:, 0, :, 0] > 0
    for output in range(seen.shape[1]):
        first, last = down.at(output)
        positions = [i for i in range(size) if seen[i, output]]
        # Taps of one output are over inputs this far apart; else the output is the bias alone.
        apart = dilation // gcd(stride, dilation)
        inside = [i for i in range(first, last + 1, apart) if 0 <= i < size]
        if positions:
            assert positions == inside
    if dilation == 1:
        assert down.size == max(1, -(-kernel // stride))


def test_the_field_with_a_large_stride_is_a_bound() -> None:
    small, large = (
        Deconv(kernel=Kernel(2 * s, 1), count=1, stride=(s, 1)).field([Field()], MAP).reaches[0]
        for s in (4096, 10**9)
    )
    assert [small.at(i) for i in (0, 4096)] == [large.at(i * 10**9 // 4096) for i in (0, 4096)]


def test_a_convolution_after_it_sees_what_its_outputs_see() -> None:
    """By hand: outputs 2x2/2 of a 2x2/2 pool; three of them come from two pools, of 4 pixels."""
    pooled = Field(size=(2, 2), stride=(2, 2))
    up = Deconv(kernel=Kernel(2, 2, stride=2), count=1).field([pooled], MAP)
    assert up.size == (2, 2)
    assert up.stride == (1, 1)
    conv = Conv(kernel=Kernel(3, 3), count=1)
    assert conv.field([up], [Shape((14, 10, 1))]).size == (4, 4)


def test_a_stride_may_be_written_in_the_kernel() -> None:
    assert Deconv(kernel=Kernel(4, 4), count=21, stride=(2, 2), pad=(1, 1, 1, 1)) == UP
    errors = written_mistakes(Deconv, kernel=Kernel(3, 3, None, 2), count=4, stride=(2, 2))
    assert errors == [("NS136", "stride")]
    assert written_mistakes(Deconv, kernel=Kernel(3, 3, 8), count=4) == [("NS132", "kernel")]


def test_contradictory_attributes_are_mistakes() -> None:
    assert mistakes(Deconv(kernel=Kernel(3, 3), count=4, groups=3)) == [("NS132", "groups")]
    extra = Deconv(kernel=Kernel(3, 3), count=4, stride=(2, 1), output_pad=(1, 1))
    assert mistakes(extra) == [("NS132", "output_pad")]


def test_inputs_that_do_not_fit_are_refused() -> None:
    assert refusal(UP, (8,)).code == "NS206"
    assert refusal(Deconv(kernel=Kernel(3, 3), count=4, groups=2), (3, 3, 5)).code == "NS207"
    error = refusal(Deconv(kernel=Kernel(2, 2), count=4, pad=(1, 1, 0, 0)), (1, 1, 5))
    assert error.code == "NS211"
    assert error.message == "the padding cuts off the whole output in height: (1-1)*1-2 + 2 = 0"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"dilation": (2**32 + 1, 1), "pad": (2**32 + 1, 2**32 + 1, 1, 1)}, "dilation"),
        ({"kernel": (3, 3), "stride": (2**31, 1)}, "stride"),
        ({"stride": (2**29, 1), "pad": (2**31, 0, 1, 1)}, "output with padding"),
    ],
)
def test_sizes_that_backends_would_cut_off_are_refused(options: Any, name: str) -> None:
    error = refusal(Deconv(**({"kernel": (3, 3), "count": 4} | options)), Shape((8, 8, 3)))
    assert error.code == "NS007"
    assert error.message.startswith(f"the {name} is too large in height: ")

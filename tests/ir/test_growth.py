"""Bounds of what operators make of magnitudes: they hold for every operator and operand."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.fused.slice import Slice
from netspec.ir.growth import Growth, weighted
from netspec.ir.operator import Operator
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.hardswish import HardSwish
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.ops.subsample import Subsample
from netspec.ir.ops.tanh import Tanh
from netspec.ir.shapes import Kernel, Shape
from tests.ir.ops.helpers import images, random_buffers, random_parameters, sample

KERNEL = Kernel(3, 2, stride=2)
MAP = Shape((4, 5, 6))
OTHERS: list[Operator] = [
    ConvRelu(kernel=KERNEL, count=4, groups=2),
    *(ConvActivation(kernel=KERNEL, count=4, activation=activation) for activation in (
        Relu6(), Clip(low=0.5, high=9.0), HardSwish(), Sigmoid(), Tanh(scale=3.0, slope=-40.0),
    )),
    FullyConnectedRelu(count=4),
    AvgPoolBias(kernel=KERNEL),
    AvgPoolBiasRelu(kernel=KERNEL),
    MaxPoolRelu(kernel=KERNEL),
    LrnMaxPool(lrn=LocalResponseNorm(n=3, alpha=0.5), pool=MaxPool(kernel=KERNEL)),
    Slice(start=1, count=3),
    Subsample(kernel=KERNEL, by="sum"),
    Tanh(scale=-1.7, slope=40.0),
    Conv(kernel=KERNEL, count=4, bias=False, dilation=(2, 1), pad=(2, 2, 1, 1)),
    *(LocalResponseNorm(n=5, k=k, alpha=a, beta=b) for k, a, b in (
        (0.01, 2.0, 0.75), (1e-300, 1.0, 2.0), (1.0, 0.0, 0.75), (0.5, 1.0, 0.5), (9.0, 1e-9, 3.0),
        (2.0, 3.0, 0.2), (1e300, 1e-300, 0.75),
    )),
]  # fmt: skip
BOUNDED = {
    *("adaptive_avgpool", "deconv", "gmp", "lrn_within", "part", "shuffle", "upsample"),
    *("abs", "add", "avgpool", "bn", "concat", "conv", "dropout", "fc", "flatten", "gap"),
    *("identity", "local", "lrn", "maxpool", "relu", "sigmoid", "softmax", "subsample", "tanh"),
    *("clip", "elu", "gain", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "prelu", "relu6"),
    *("scale", "silu"),
    *(op.name for op in OTHERS),
}
"""Operators of which a bound is known; a net with another is never guarded by one."""
CASES = [*map(sample, OPERATORS.values()), *((op, [MAP]) for op in OTHERS)]


@pytest.mark.parametrize(("op", "inputs"), CASES, ids=[op.name for op, _ in CASES])
def test_no_result_exceeds_the_bound(op: Operator, inputs: list[Shape]) -> None:
    tensors = random_parameters(op, inputs) | random_buffers(op, inputs)
    growth = op.growth(inputs, **tensors)
    if growth.gain == inf:
        assert op.name not in BOUNDED or getattr(op, "k", 1) == 1e-300
    for scale in (1e-9, 0.1, 1.0, 17.0, 1e4, 1e9):
        alike = [torch.full_like(images(shape), scale) for shape in inputs]
        y = op.reference(inputs, *alike, **tensors)
        assert float(y.abs().max()) <= growth.bound(scale) * (1 + 1e-12) + 1e-300
        for seed in range(3):
            x = [
                scale * images(shape, batch=2, seed=seed + 5 * i) for i, shape in enumerate(inputs)
            ]
            largest = max(float(one.abs().max()) for one in x)
            y = op.reference(inputs, *x, **tensors)
            # 1e-12: float64 rounds some hundred terms, and so do the bounds themselves
            assert float(y.abs().max()) <= growth.bound(largest) * (1 + 1e-12) + 1e-300


@given(st.integers(1, 9), st.integers(1, 40), st.booleans(), st.integers(0, 99))
@settings(max_examples=50)
def test_the_bound_of_weights_is_reached(rows: int, terms: int, biased: bool, seed: int) -> None:
    """By the operand with the signs of the largest row, so that no smaller one would do."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(rows, terms, generator=generator, dtype=torch.float64)
    b = torch.full((rows,), 3.0).double() if biased else None
    growth = weighted(w, b, terms)
    worst = w[w.abs().sum(1).argmax()].sign() * 7
    y = FullyConnected(count=rows, bias=biased).reference(
        [Shape((terms,))], worst[None], weight=w, **({} if b is None else {"bias": b})
    )
    assert float(y.max()) == pytest.approx(growth.bound(7.0), rel=1e-12)


def test_many_weights_have_a_coarser_bound() -> None:
    w = torch.full((1024, 1025), -0.5)
    assert weighted(w, None, 1025).gain == 0.5 * 1025
    w[1000, 1000] = nan
    assert weighted(w, None, 1025).bound(1.0) == inf


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_no_operand_is_safe_with_weights_that_are_not_finite(name: str, value: float) -> None:
    tensors = {"weight": torch.ones(4, 6, 3, 3), "bias": torch.ones(4)}
    tensors[name].view(-1)[2] = value
    op = Conv(kernel=Kernel(3, 3), count=4)
    growth = op.growth([Shape((4, 5, 6))], **tensors)
    assert growth.domain(1e30) == -inf
    assert growth.bound(1.0) == inf


def test_nothing_is_known_of_what_is_not_finite() -> None:
    assert Growth(0.0, 1.0).bound(inf) == inf
    assert Growth(2.0, 1.0, most=5.0).bound(1.0) == 3.0
    assert Growth(2.0, 1.0, most=5.0).bound(9.0) == 5.0


def test_one_bound_after_another() -> None:
    first = Growth(2.0, 1.0)
    assert first.then(Growth(3.0, 0.5)) == Growth(6.0, 3.5, peak=6.0)
    assert first.then(Growth(1.0, most=6.0)) == Growth(2.0, 1.0, most=6.0, peak=2.0)
    assert Growth(2.0, most=5.0).then(Growth(3.0, 0.5)).most == 15.5
    assert first.then(Growth(0.0, 1.0)).bound(1e30) == 1.0
    assert first.then(Growth(0.0, 1.0)).domain(9.0) == 3.5  # 2 x + 1 is computed on the way
    assert first.then(Growth(1.0, peak=6.0)).domain(60.0) == 4.5  # 6 (2 x + 1)
    assert Growth(0.5, peak=10.0).then(Growth(0.1)).domain(20.0) == 2.0


@pytest.mark.parametrize("outer", [Growth(0.0, 1.0), Growth(1.0, most=6.0), Growth(1.0)])
def test_nothing_is_known_after_weights_that_are_not_finite(outer: Growth) -> None:
    for first in (Growth(nan), Growth(1.0, nan), Growth(inf)):
        assert first.then(outer).domain(1e30) == -inf
    assert Growth(nan).then(outer).bound(1.0) == inf


def test_the_domain_is_that_of_everything_on_the_way() -> None:
    assert Growth(2.0, 1.0).domain(9.0) == 4.0
    assert Growth(0.5, peak=10.0).domain(20.0) == 2.0
    assert Growth(0.5).domain(20.0) == 20.0
    assert Growth(0.5, 30.0).domain(20.0) == -inf

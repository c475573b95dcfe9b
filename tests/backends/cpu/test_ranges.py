"""Every implementation over the whole range of its type: right up to the end of its domain."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netspec.backends.cpu import IMPLEMENTATIONS
from netspec.backends.cpu.implementation import CpuImplementation
from netspec.backends.memory import nchw
from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.bn_relu import BatchNormRelu
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_add import ConvAdd, ConvAddRelu
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.operator import Operator
from netspec.ir.ops.add import Add
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.mul import Mul
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.ops.softmax import Softmax
from netspec.ir.ops.tanh import Tanh
from netspec.ir.shapes import Kernel
from netspec.lowering.implementation import Problem
from netspec.lowering.ranges import LIMIT
from tests.backends.cpu.activations import CONVOLVED
from tests.backends.cpu.helpers import (
    TYPES,
    allowed,
    computed,
    implementations,
    operands,
    problem_of,
    tensors,
)

MAP = (6, 7, 16)
KERNEL = Kernel(3, 3, stride=2)
OPERATORS: list[Operator] = [
    Conv(kernel=KERNEL, count=8),
    ConvRelu(kernel=Kernel(3, 3), count=8, pad=(1, 1, 1, 1)),
    *(ConvActivation(kernel=KERNEL, count=8, activation=op) for op in CONVOLVED.values()),
    Conv(kernel=Kernel(1, 1), count=8, bias=False),
    ConvAdd(kernel=Kernel(3, 3), count=16, pad=(1, 1, 1, 1)),
    ConvAddRelu(kernel=Kernel(1, 1), count=16),
    BatchNorm(eps=1e-3),
    BatchNormRelu(eps=1e-3),
    FullyConnected(count=9),
    FullyConnectedRelu(count=9),
    MaxPool(kernel=KERNEL),
    MaxPoolRelu(kernel=KERNEL, pad=(1, 1, 1, 1)),
    AvgPool(kernel=KERNEL),
    AvgPool(kernel=KERNEL, pad=(1, 1, 1, 1), count_pad=False),
    AvgPoolBias(kernel=KERNEL),
    AvgPoolBiasRelu(kernel=KERNEL),
    GlobalAveragePool(),
    LocalResponseNorm(n=5),
    LrnMaxPool(lrn=LocalResponseNorm(n=5, k=1.0, alpha=0.02), pool=MaxPool(kernel=KERNEL)),
    Softmax(),
    Concat(),
    Add(),
    Mul(),
    Relu(),
    Sigmoid(),
    Tanh(scale=1.7, slope=0.6),
]
CASES = [
    pytest.param(op, dtype, id=f"{op.name}-{str(dtype).removeprefix('torch.')}")
    for op in OPERATORS
    for dtype in TYPES
]


def test_every_kind_of_implementation_is_probed() -> None:
    assert {*IMPLEMENTATIONS} <= {type(op) for op in OPERATORS}


def problem(op: Operator, dtype: torch.dtype) -> Problem:
    return problem_of(op, *[MAP] * (2 if op.takes == "many" else 1), dtype=dtype)


def scaled(case: Problem, largest: float) -> list[Tensor]:
    """Random operands, the largest magnitude of which is this one."""
    x = operands(case, 2)
    top = max(float(one.abs().max()) for one in x)
    return [(one.double() / top * largest).to(case.dtype) for one in x]


def reference(case: Problem, x: list[Tensor], parameters: dict[str, Tensor]) -> Tensor:
    return case.op.reference(case.inputs, *map(nchw, x), **parameters)


def assert_near(
    case: Problem, implementation: CpuImplementation, x: list[Tensor], least: float
) -> None:
    """Off by rounding, or by what vanishes below the smallest normal number: the library flushes
    such numbers in bfloat16, in operands, products and results."""
    parameters = tensors(case)
    growth = implementation.growth(case, parameters)
    y = computed(case, implementation, implementation.pack(case, parameters), x).double()
    doubled = {name: tensor.double() for name, tensor in parameters.items()}
    exact = reference(case, [one.double() for one in x], doubled)
    sizes = {name: tensor.abs() for name, tensor in doubled.items()}
    largest = float(reference(case, [one.double().abs() for one in x], sizes).abs().max())
    terms = max(1.0 if growth.gain == inf else growth.gain, growth.peak, 1.0)
    error = float((y - exact).abs().max())
    assert error <= allowed(case, largest) + 4 * terms * least, implementation.name


@pytest.mark.parametrize(("op", "dtype"), CASES)
@given(exponent=st.integers(-149, 127))
@settings(max_examples=12)
def test_up_to_the_end_of_its_domain(op: Operator, dtype: torch.dtype, exponent: int) -> None:
    case = problem(op, dtype)
    for implementation in implementations(case).values():
        growth = implementation.growth(case, tensors(case))
        end = implementation.domain(case, growth)
        assert end >= LIMIT
        if end == inf:
            end = end_of_reference(case, growth.domain(torch.finfo(dtype).max / 4))
        assert_near(case, implementation, scaled(case, min(2.0**exponent, end)), smallest(dtype))
        x = scaled(case, end)
        assert_near(case, implementation, x, smallest(dtype))
        assert_near(case, implementation, [one.abs() for one in x], smallest(dtype))


def end_of_reference(case: Problem, domain: float) -> float:
    """The magnitude up to which the reference is right in its own type, where PyTorch overflows."""
    lrn = case.op.lrn if isinstance(case.op, LrnMaxPool) else case.op
    if isinstance(lrn, LocalResponseNorm):
        return (2.0**126 / lrn.n) ** 0.5 / max(1.0, lrn.alpha) ** 0.5
    return 2.0**63 if isinstance(case.op, Mul) else domain  # the root of the largest number


def smallest(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).tiny


@pytest.mark.parametrize(("op", "dtype"), CASES)
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_claims_every_value_carries_what_is_not_finite(
    op: Operator, dtype: torch.dtype, value: float
) -> None:
    case = problem(op, dtype)
    for implementation in implementations(case).values():
        parameters = tensors(case)
        if implementation.domain(case, implementation.growth(case, parameters)) < inf:
            continue
        x = operands(case, 2)
        x[0][1, 2, 3, 4] = value
        y = computed(case, implementation, implementation.pack(case, parameters), x)
        z = reference(case, x, parameters)
        assert torch.equal(y.isnan(), z.isnan())
        assert torch.equal(y == inf, z == inf)
        assert torch.equal(y == -inf, z == -inf)


MAGNITUDES = st.floats(-30, 30)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@given(
    n=st.sampled_from([1, 3, 5, 9]),
    k=MAGNITUDES,
    alpha=MAGNITUDES,
    beta=st.sampled_from([0.5, 0.75, 1.0, 0.6]),
    x=st.floats(-37, 37),
)
@settings(max_examples=60)
def test_normalisations_of_every_kind(
    dtype: torch.dtype, n: int, k: float, alpha: float, beta: float, x: float
) -> None:
    op = LocalResponseNorm(n=n, k=10.0**k, alpha=10.0**alpha, beta=beta)
    for one in (op, LrnMaxPool(lrn=op, pool=MaxPool(kernel=KERNEL))):
        case = problem(one, dtype)
        implementation = implementations(case).get("onednn")
        if implementation is None:
            continue
        end = implementation.domain(case, implementation.growth(case, {}))
        for largest in (min(10.0**x, end), end):
            if largest < 1e38:
                assert_near(case, implementation, scaled(case, largest), smallest(dtype))


def test_the_third_power_of_the_base_decides() -> None:
    def chosen(**attributes: float) -> str:
        op = LocalResponseNorm(n=5, **attributes)
        return next(iter(implementations(problem_of(op, MAP))))

    assert chosen() == "onednn"
    assert chosen(k=1.0, alpha=2e-5) == "onednn"
    assert chosen(k=1e-11) == "onednn"
    assert chosen(k=1e-13) == "tiles"
    assert chosen(k=1e13) == "tiles"
    assert chosen(alpha=1e4) == "tiles"

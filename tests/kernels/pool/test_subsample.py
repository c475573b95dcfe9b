from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from netspec.ir.ops.subsample import Subsample
from netspec.ir.shapes import Kernel, Shape
from netspec.kernels.pool.geometry import checked
from netspec.kernels.pool.operators import subsample as ops
from tests.examples import examples
from tests.kernels.helpers import (
    DEVICE,
    DTYPES,
    assert_within,
    gpu,
    normal,
    only_on_gpu,
    rounding,
    within,
)
from tests.kernels.pool.pools import Pool, pools, spread, sums

S2 = Pool((2, 6, 6, 6))
OVERLAPPING = Pool((1, 5, 6, 3), (3, 3), (2, 2), (1, 1, 0, 1))
ODD = (
    S2,
    OVERLAPPING,
    Pool((0, 4, 4, 3), (2, 2)),
    Pool((1, 1, 1, 1), (1, 1), (1, 1)),
    Pool((2, 4, 4, 300), (3, 3), (2, 2), (1, 1, 1, 0)),
    Pool((1, 9, 9, 2), (2, 3), (4, 5), (1, 0, 2, 2)),
    Pool((3, 24, 20, 64)),  # whose sums over pixels are cut into parts
)


def operands(pool: Pool, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    channels = pool.size[3]
    return pool.x(dtype), normal(channels, dtype=dtype, seed=2), normal(channels, dtype=dtype)


def check(pool: Pool, dtype: torch.dtype, by: str) -> None:
    x, coefficient, bias = operands(pool, dtype)
    dy = pool.dy(dtype)
    share = 1 / prod(pool.kernel) if by == "mean" else 1.0
    a, b = coefficient.double(), bias.double()
    pooled, pooled_size = sums(x, pool) * share, sums(x.abs(), pool) * share
    taps = prod(pool.kernel)

    y = ops.subsample(within(x), coefficient, bias, *pool.window, by)
    exact = a * pooled + b
    magnitude = a.abs() * pooled_size + b.abs()
    assert_within(y, exact, rounding(exact, dtype, terms=taps + 2, magnitude=magnitude))

    dx, da, db = ops.subsample_backward(within(dy), within(x), coefficient, *pool.window, by)
    exact, magnitude = a * spread(dy, pool) * share, a.abs() * spread(dy.abs(), pool) * share
    assert_within(dx, exact, rounding(exact, dtype, terms=pool.covering + 2, magnitude=magnitude))
    size, pixels = dy.double().abs(), prod(pool.size_out[:3])
    exact, magnitude = (dy * pooled).sum((0, 1, 2)), (size * pooled_size).sum((0, 1, 2))
    assert_within(da, exact, rounding(exact, dtype, terms=pixels + taps, magnitude=magnitude))
    exact, magnitude = dy.double().sum((0, 1, 2)), size.sum((0, 1, 2))
    assert_within(db, exact, rounding(exact, dtype, terms=pixels, magnitude=magnitude))


@given(pool=pools(most=4), dtype=st.sampled_from(DTYPES), by=st.sampled_from(ops.BY))
@examples(25)
def test_any(pool: Pool, dtype: torch.dtype, by: str) -> None:
    check(pool, dtype, by)


@pytest.mark.parametrize("by", ops.BY)
@pytest.mark.parametrize("pool", ODD)
def test_odd(pool: Pool, by: str) -> None:
    check(pool, torch.float32, by)


@pytest.mark.parametrize("by", ops.BY)
@pytest.mark.parametrize("pool", [S2, OVERLAPPING, ODD[2], replace(ODD[5], stride=(2, 2))])
def test_gradcheck(pool: Pool, by: str) -> None:
    tensors = [tensor.requires_grad_() for tensor in operands(pool, torch.float64)]
    function = ops.subsample
    assert torch.autograd.gradcheck(
        lambda *args: function(*args, *pool.window, by), tensors, fast_mode=True
    )


@pytest.mark.parametrize("pool", [OVERLAPPING, ODD[2]])
def test_opcheck(pool: Pool) -> None:
    tensors = operands(pool, torch.float32)
    trained = [tensor.clone().requires_grad_() for tensor in tensors]
    torch.library.opcheck(ops.subsample, (*trained, *pool.window, "mean"))
    backward = pool.dy(torch.float32), within(tensors[0]), tensors[1], *pool.window, "sum"
    torch.library.opcheck(ops.subsample_backward, backward)


@pytest.mark.parametrize("by", ops.BY)
def test_as_the_operator_of_the_language(by: str) -> None:
    stage = Subsample(kernel=Kernel(2, 2, stride=2), by=by, round="ceil")
    size = Shape((5, 7, 6))
    x, coefficient, bias = operands(Pool((2, *size)), torch.float64)
    y = ops.subsample(x, coefficient, bias, [2, 2], [2, 2], [0, 1, 0, 1], by)
    image = x.permute(0, 3, 1, 2)
    exact = stage.reference([size], image, coefficient=coefficient, bias=bias)
    torch.testing.assert_close(y, exact.permute(0, 2, 3, 1))


def test_same_bits_each_time() -> None:
    pool = ODD[6]
    x, coefficient, _ = operands(pool, torch.float16)
    dy = pool.dy(torch.float16)
    first, second = (
        ops.subsample_backward(dy, x, coefficient, *pool.window, "mean") for _ in range(2)
    )
    assert all(map(torch.equal, first, second))


def test_the_sums_are_cut_into_parts() -> None:
    pool = ODD[6]
    x, coefficient, bias = operands(pool, torch.float32)
    launches = ops.backward_launches(
        pool.dy(x.dtype), x, coefficient, torch.empty_like(x), bias, bias.clone(),
        checked(pool.size, *pool.window), by="sum",
    )  # fmt: skip
    assert len(launches) == 4
    assert launches[1].grid[0] > 1


def test_refusals() -> None:
    pool = OVERLAPPING
    x, coefficient, bias = operands(pool, torch.float32)
    dy = pool.dy(torch.float32)
    with pytest.raises(ValueError, match="by must be one of mean, sum, not 'max'"):
        ops.subsample(x, coefficient, bias, *pool.window, "max")
    with pytest.raises(ValueError, match=r"coefficient must be \[3\]"):
        ops.subsample(x, coefficient[:2], bias, *pool.window, "sum")
    with pytest.raises(TypeError, match="bias is"):
        ops.subsample(x, coefficient, bias.double(), *pool.window, "sum")
    with pytest.raises(ValueError, match="x must be channels-last"):
        ops.subsample(x.permute(0, 3, 1, 2), coefficient, bias, *pool.window, "sum")
    with pytest.raises(ValueError, match="contains only padding"):
        ops.subsample(x, coefficient, bias, [2, 2], [1, 1], [2, 0, 0, 0], "sum")
    with pytest.raises(ValueError, match="dy must be"):
        ops.subsample_backward(dy[:, :1], x, coefficient, *pool.window, "sum")
    with pytest.raises(TypeError, match="dy is"):
        ops.subsample_backward(dy.double(), x, coefficient, *pool.window, "sum")


@gpu
@only_on_gpu
def test_more_than_two_to_the_31_elements() -> None:
    x = torch.zeros(33, 1024, 1024, 64, dtype=torch.bfloat16, device=DEVICE)
    x[-1] = torch.randn(1024, 1024, 64, device=DEVICE)
    ones = torch.ones(64, dtype=x.dtype, device=DEVICE)
    window = [2, 2], [2, 2], [0, 0, 0, 0], "mean"
    y = ops.subsample(x, ones, ones, *window)
    assert torch.equal(y[-1:], ops.subsample(x[-1:].clone(), ones, ones, *window))
    dx, _, db = ops.subsample_backward(y, x, ones, *window)
    dx_last, _, _ = ops.subsample_backward(y[-1:].clone(), x[-1:].clone(), ones, *window)
    assert torch.equal(dx[-1:], dx_last)
    exact, magnitude = y.double().sum((0, 1, 2)), y.double().abs().sum((0, 1, 2))
    assert_within(db, exact, rounding(exact, x.dtype, terms=33 * 2**18, magnitude=magnitude))


@gpu
@only_on_gpu
@pytest.mark.parametrize("pool", [S2, ODD[6]])
def test_eight_warps(pool: Pool) -> None:
    x, coefficient, bias = operands(pool, torch.float16)
    dy = pool.dy(torch.float16)
    gradients = [torch.empty_like(tensor) for tensor in (x, coefficient, bias)]
    for launch in ops.backward_launches(
        dy, x, coefficient, *gradients, checked(pool.size, *pool.window), by="mean"
    ):
        replace(launch, warps=8)()
    for ours, exact in zip(
        gradients, ops.subsample_backward(dy, x, coefficient, *pool.window, "mean"), strict=True
    ):
        torch.testing.assert_close(ours, exact)

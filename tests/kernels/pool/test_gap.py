from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.kernels.pool import means
from netspec.kernels.pool.operators.gap import gap, gap_backward
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

MAPS = ((1, 1, 1, 1), (2, 7, 7, 33), (0, 3, 3, 2), (1, 40, 33, 3), (3, 1, 5, 300), (1, 20, 30, 64))


@given(
    size=st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 90)),
    dtype=st.sampled_from(DTYPES),
)
@examples(20)
def test_any(size: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    check(size, dtype)


@pytest.mark.parametrize("size", MAPS)
def test_odd(size: tuple[int, int, int, int]) -> None:
    check(size, torch.float32)


def check(size: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    x = normal(*size, dtype=dtype)
    y = gap(within(x))
    exact = x.double().mean((1, 2), keepdim=True)
    magnitude = x.double().abs().mean((1, 2), keepdim=True)
    allowed = rounding(exact, dtype, terms=size[1] * size[2], magnitude=magnitude)
    assert_within(y, exact, allowed)
    dy = normal(size[0], 1, 1, size[3], dtype=dtype)
    exact = (dy.double() / (size[1] * size[2])).expand(size)
    allowed = rounding(exact, dtype, terms=1, magnitude=exact.abs())
    assert_within(gap_backward(within(dy), *size[1:3]), exact, allowed)


def test_several_programs_share_a_large_map() -> None:
    x = normal(1, 20, 30, 64, dtype=torch.float16)
    launches = means.launches(x, x.new_empty(1, 1, 1, 64))
    assert len(launches) == 2
    assert launches[0].grid[0] > 1
    assert torch.equal(gap(x), gap(x))


@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 20, 30, 64)])
def test_gradcheck(size: tuple[int, int, int, int]) -> None:
    x = normal(*size).requires_grad_()
    assert torch.autograd.gradcheck(gap, x, fast_mode=True)


@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 20, 30, 64)])
def test_opcheck(size: tuple[int, int, int, int]) -> None:
    x = normal(*size, dtype=torch.float32)
    torch.library.opcheck(gap, (x.clone().requires_grad_(),))
    torch.library.opcheck(gap_backward, (gap(x), *size[1:3]))


def test_refusals() -> None:
    x = normal(2, 4, 5, 3)
    with pytest.raises(ValueError, match="x must be channels-last"):
        gap(x.permute(0, 3, 1, 2))
    with pytest.raises(ValueError, match="have no pixels"):
        gap(x[:, :0])
    with pytest.raises(ValueError, match="dy must be"):
        gap_backward(x, 4, 5)
    with pytest.raises(TypeError, match="floating point"):
        gap(x.int())


@gpu
@only_on_gpu
def test_more_than_two_to_the_31_elements() -> None:
    x = torch.zeros(33, 1024, 1024, 64, dtype=torch.bfloat16, device=DEVICE)
    x[-1] = torch.randn(1024, 1024, 64, device=DEVICE)
    exact = x[-1:].double().mean((1, 2), keepdim=True)
    magnitude = x[-1:].double().abs().mean((1, 2), keepdim=True)
    allowed = rounding(exact, x.dtype, terms=2**20, magnitude=magnitude)
    assert_within(gap(x)[-1:], exact, allowed)


@gpu
@only_on_gpu
@pytest.mark.parametrize("size", [(1, 5, 4, 16), (2, 6, 5, 3)])
def test_eight_warps(size: tuple[int, int, int, int]) -> None:
    x = normal(*size, dtype=torch.float16)
    y = torch.empty(size[0], 1, 1, size[3], dtype=x.dtype, device=DEVICE)
    for launch in means.launches(x, y):
        replace(launch, warps=8)()
    torch.testing.assert_close(y, gap(x))

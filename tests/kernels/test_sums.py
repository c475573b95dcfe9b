from __future__ import annotations

import pytest
import torch

from netspec.kernels.launch import multiprocessors
from netspec.kernels.sums import parts_of, sum_of, sum_of_many
from tests.kernels.helpers import DEVICE, guarded, normal


@pytest.mark.parametrize("rows", [1, 37])
def test_few_parts_of_many_values_with_bias_and_relu(rows: int) -> None:
    parts, b = normal(3, rows, 21), normal(21, seed=1)
    y = guarded(1, 1, rows, 21, dtype=torch.float64)
    sum_of(parts, y.slice, b, relu=True, pitch=y.slice.stride(2))()
    y.assert_intact()
    # Sums of four float64 of some 10 at most: off by less than 4 x 10 x 2^-53.
    torch.testing.assert_close(y.slice[0, 0], (parts.sum(0) + b).relu(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("count", [1, 5, 1030])
def test_few_parts_of_contiguous_values(count: int) -> None:
    parts = normal(2, 9, count)
    y = guarded(1, 1, 9, count, dtype=torch.float64, before=0, after=0)
    sum_of(parts, y.slice[0, 0])()
    y.assert_intact()
    torch.testing.assert_close(y.slice[0, 0], parts.sum(0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_bias_and_a_relu_in_place_on_a_slice_of_channels(dtype: torch.dtype) -> None:
    whole, b = normal(2, 3, 5, 30, dtype=dtype), normal(21, dtype=dtype, seed=1)
    before = whole.clone()
    y = whole[..., 4:25]
    sum_of(y[None], y, b, relu=True, pitch=30, parts_pitch=30)()
    # One sum in at least float32, rounded once: as PyTorch's in that type, rounded.
    wanted = (before[..., 4:25].float() + b.float()).relu().to(dtype)
    assert torch.equal(y, wanted)
    assert torch.equal(whole[..., :4], before[..., :4])
    assert torch.equal(whole[..., 25:], before[..., 25:])


@pytest.mark.parametrize("count", [1, 32, 33, 100])
def test_many_parts_of_few_values_over_a_divisor(count: int) -> None:
    parts = normal(count, 2, 19)
    y = torch.full((2, 19), torch.nan, dtype=torch.float64, device=DEVICE)
    sum_of_many(parts, y, 7)()
    # Sums of at most 100 float64 of absolute value below 5: off by less than 100 x 500 x 2^-53 / 7.
    torch.testing.assert_close(y, parts.sum(0) / 7, rtol=0, atol=1e-12)


def test_programs_share_a_sum_until_they_fill_a_gpu_or_have_two_blocks() -> None:
    assert parts_of(10**6, programs=1, block=32) == 2 * multiprocessors(torch.device("meta"))
    assert parts_of(640, programs=1, block=32) == 10
    assert parts_of(10**6, programs=10**4, block=32) == 1

from __future__ import annotations

from math import inf, nan

import pytest
import torch

from netspec.files.finite import are_finite, first_not_finite, is_finite
from netspec.files.tensors import bytes_of

TYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_nan_is_found_wherever_it_is(dtype: torch.dtype) -> None:
    for place in (0, 7, 30, 64):
        x = torch.ones(65)
        x[place] = nan
        assert not is_finite(x.to(dtype))
        assert not are_finite(bytes_of(x.to(dtype)), dtype)
        message = f"w is NaN at [{place}], and 1 of its 65 values are NaN or infinite"
        assert first_not_finite({"v": torch.ones(3), "w": x.to(dtype)}) == message


@pytest.mark.parametrize("value", [inf, -inf])
def test_infinity_is_found_on_both_sides(value: float) -> None:
    x = torch.zeros(2, 3, 4)
    x[1, 2, 3] = x[1, 0, 2] = value
    assert first_not_finite({"w": x}) == (
        "w is infinite at [1, 0, 2], and 2 of its 24 values are NaN or infinite"
    )


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_largest_numbers_are_finite(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    x = torch.tensor([largest, -largest, 0], dtype=torch.float64).to(dtype)
    assert is_finite(x)
    assert are_finite(bytes_of(x), dtype)
    assert first_not_finite({"w": x}) == ""


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_bits_after_the_largest_number_are_not_finite(dtype: torch.dtype) -> None:
    """They are infinity, or NaN in a type without infinity; with each sign."""
    integers = getattr(torch, f"int{8 * dtype.itemsize}")
    for sign in (1, -1):
        x = torch.tensor([0, sign * torch.finfo(dtype).max, 0], dtype=torch.float64).to(dtype)
        x.view(integers)[1] += 1
        assert not are_finite(bytes_of(x), dtype)


def test_what_holds_no_numbers_is_finite() -> None:
    assert are_finite(memoryview(b""), torch.float32)
    assert are_finite(memoryview(b"\xff" * 8), torch.int64)
    assert is_finite(torch.empty(0))
    assert is_finite(torch.tensor([2**62]))
    assert is_finite(torch.tensor(1.0))
    assert first_not_finite({}) == ""
    assert first_not_finite({"w": torch.tensor(nan)}).startswith("w is NaN at [], and 1 of its 1")

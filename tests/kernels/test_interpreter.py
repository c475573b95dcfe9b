"""The interpreter as tests run it: with less work, it finds and computes the same."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from triton.language import core
from triton.runtime.errors import InterpreterError

from tests.kernels import interpreter
from tests.kernels.helpers import ON_GPU

pytestmark = pytest.mark.skipif(ON_GPU, reason="kernels are not interpreted where there is a GPU")


@triton.jit
def arithmetic(x_ptr, y_ptr, sum_ptr, difference_ptr, product_ptr):
    x, y = tl.load(x_ptr), tl.load(y_ptr)
    if sum_ptr is not None:
        tl.store(sum_ptr, x + y)
    if difference_ptr is not None:
        tl.store(difference_ptr, x - y)
    if product_ptr is not None:
        tl.store(product_ptr, x * y)


def computed(place: int, x: int, y: int, dtype: torch.dtype) -> int:
    """The sum, difference or product of two numbers."""
    result = torch.empty(1, dtype=dtype)
    results = [result if number == place else None for number in range(3)]
    arithmetic[(1,)](torch.tensor([x], dtype=dtype), torch.tensor([y], dtype=dtype), *results)
    return int(result)


@pytest.mark.parametrize(
    ("place", "x", "y", "name"),
    [
        (0, 2**31 - 1, 1, "add"),
        (1, -(2**31) + 1, 2, "sub"),
        (2, 2**16, 2**15, "mul"),
        (2, 2**20, 2**20, "mul"),
    ],
)
def test_an_overflow_of_int32_is_found(place: int, x: int, y: int, name: str) -> None:
    with pytest.raises(InterpreterError, match=f"int32 overflow detected for operation {name}"):
        computed(place, x, y, torch.int32)
    exact = (x + y, x - y, x * y)[place]
    assert computed(place, x, y, torch.int64) == exact


def test_the_largest_int32_is_no_overflow() -> None:
    assert computed(0, 2**31 - 2, 1, torch.int32) == 2**31 - 1
    assert computed(1, -(2**31) + 1, 1, torch.int32) == -(2**31)
    assert computed(2, -(2**16), 2**15, torch.int32) == -(2**31)


@pytest.mark.parametrize("shape", [[4], [2, 8], [1, 1, 16], [core.constexpr(4), 2]])
def test_types_of_blocks_are_those_of_triton(shape: list[int]) -> None:
    ours = core.block_type(core.float32, shape)
    theirs = core.block_type.__new__(core.block_type)
    interpreter._new_block_type(theirs, core.float32, shape)
    assert (ours.shape, ours.numel, ours.name) == (theirs.shape, theirs.numel, theirs.name)
    assert ours == theirs


@pytest.mark.parametrize("shape", [[], [3], [2**21]])
def test_shapes_that_no_block_has_are_refused(shape: list[int]) -> None:
    with pytest.raises((TypeError, ValueError)):
        core.block_type(core.float32, shape)

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from netspec.kernels.launch import Launch, blocks, power_of_two, run
from tests.kernels.helpers import DEVICE


@triton.jit
def add(x_ptr, size, VALUE: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x_ptr + i, tl.load(x_ptr + i, mask=i < size) + VALUE, mask=i < size)


def added(x: torch.Tensor, value: float, programs: int) -> Launch:
    return Launch(add, (programs,), {"x_ptr": x, "size": x.numel(), "VALUE": value, "BLOCK": 4})


def test_launches_run_in_order() -> None:
    x = torch.zeros(7, device=DEVICE)
    run([added(x, 1, 2), added(x, 2, 1)])
    assert x.tolist() == [3, 3, 3, 3, 1, 1, 1]


def test_no_programs_do_nothing() -> None:
    x = torch.zeros(7, device=DEVICE)
    added(x, 1, 0)()
    assert not x.any()


@pytest.mark.parametrize(
    ("size", "covered", "power"), [(1, 1, 1), (4, 1, 4), (5, 2, 8), (9, 3, 16)]
)
def test_blocks_and_powers_of_two(size: int, covered: int, power: int) -> None:
    assert blocks(size, 4) == covered
    assert power_of_two(size) == power

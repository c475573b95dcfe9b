from __future__ import annotations

import pytest
import torch

from netspec.ir.ops.add import Add
from netspec.ir.ops.mul import Mul
from tests.backends.cpu.helpers import TYPES, assert_right, implementations, problem_of

MAP, FACTOR = (6, 7, 5), (1, 1, 5)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("size", [MAP, FACTOR, (9,)])
def test_sums_and_products(size: tuple[int, ...], count: int, dtype: torch.dtype) -> None:
    for op in (Add(), Mul()):
        problem = problem_of(op, *[size] * count, dtype=dtype)
        assert list(implementations(problem)) == ["direct", "torch"]
        assert_right(problem, "direct")


@pytest.mark.parametrize("sizes", [(MAP, FACTOR), (FACTOR, MAP), (FACTOR, MAP, FACTOR, MAP)])
def test_factors_of_each_channel(sizes: tuple[tuple[int, ...], ...]) -> None:
    assert_right(problem_of(Mul(), *sizes), "direct")


def test_an_order_that_the_memory_of_the_result_cannot_hold_is_refused() -> None:
    """Two factors give a factor, and the result has the size of a map."""
    problem = problem_of(Mul(), FACTOR, FACTOR, MAP)
    assert list(implementations(problem)) == ["torch"]
    assert_right(problem, "torch")


def test_one_operand_is_copied_by_the_reference() -> None:
    assert list(implementations(problem_of(Mul(), MAP))) == ["torch"]

"""Concatenations and softmax."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.concat import Concat
from netspec.ir.ops.softmax import Softmax
from tests.backends.cpu.helpers import (
    TYPES,
    assert_right,
    computed,
    implementations,
    operands,
    problem_of,
)
from tests.examples import examples


@pytest.mark.parametrize("dtype", TYPES)
@given(
    channels=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    is_map=st.booleans(),
    batch=st.integers(1, 3),
)
@examples(40)
def test_concatenations_are_exact(
    channels: list[int], size: tuple[int, int], is_map: bool, batch: int, dtype: torch.dtype
) -> None:
    shapes = [(*size, count) if is_map else (count,) for count in channels]
    problem = problem_of(Concat(), *shapes, dtype=dtype)
    assert list(implementations(problem)) == ["onednn", "torch"]
    x = operands(problem, batch)
    wanted = torch.cat(x, dim=-1)
    for implementation in implementations(problem).values():
        y = computed(problem, implementation, {}, x)
        assert torch.equal(y.permute(0, 2, 3, 1) if is_map else y, wanted)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("batch", "size", "is_many"),
    [(1, (63, 65), False), (1, (64, 64), True), (3, (32, 32), False), (4, (32, 32), True)],
)
def test_pytorch_concatenates_many_pixels_of_16_bits(
    batch: int, size: tuple[int, int], is_many: bool, dtype: torch.dtype
) -> None:
    problem = problem_of(Concat(), (*size, 3), (*size, 5), dtype=dtype, batch=batch)
    expected = "torch" if is_many and dtype == torch.bfloat16 else "onednn"
    assert next(iter(implementations(problem))) == expected


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [(1,), (10,), (1000,), (3, 5, 33), (1, 1, 7)])
def test_softmax(size: tuple[int, ...], dtype: torch.dtype) -> None:
    problem = problem_of(Softmax(), size, dtype=dtype)
    assert list(implementations(problem)) == ["onednn", "torch"]
    assert_right(problem, "onednn")
    implementation = implementations(problem)["onednn"]
    large = [x * 1e4 for x in operands(problem, 2)]
    torch.testing.assert_close(
        computed(problem, implementation, {}, large),
        computed(problem, implementations(problem)["torch"], {}, large),
    )

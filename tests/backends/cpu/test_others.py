"""Concatenations and softmax."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netspec.ir.ops.concat import Concat
from netspec.ir.ops.softmax import Softmax
from tests.backends.cpu.helpers import TYPES, assert_right, computed, operands, ways, work_of


@pytest.mark.parametrize("dtype", TYPES)
@given(
    channels=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    is_map=st.booleans(),
    batch=st.integers(1, 3),
)
@settings(max_examples=40)
def test_concatenations_are_exact(
    channels: list[int], size: tuple[int, int], is_map: bool, batch: int, dtype: torch.dtype
) -> None:
    shapes = [(*size, count) if is_map else (count,) for count in channels]
    work = work_of(Concat(), *shapes, dtype=dtype)
    assert list(ways(work)) == ["onednn", "torch"]
    x = operands(work, batch)
    wanted = torch.cat(x, dim=-1)
    for way in ways(work).values():
        y = computed(work, way, {}, x)
        assert torch.equal(y.permute(0, 2, 3, 1) if is_map else y, wanted)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [(1,), (10,), (1000,), (3, 5, 33), (1, 1, 7)])
def test_softmax(size: tuple[int, ...], dtype: torch.dtype) -> None:
    work = work_of(Softmax(), size, dtype=dtype)
    assert list(ways(work)) == ["onednn", "torch"]
    assert_right(work, "onednn")
    way = ways(work)["onednn"]
    large = [x * 1e4 for x in operands(work, 2)]
    torch.testing.assert_close(
        computed(work, way, {}, large), computed(work, ways(work)["torch"], {}, large)
    )

"""Batch normalisation is one pass of the library."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from netspec.backends.cpu.onednn.library import missing
from netspec.ir.fused.bn_relu import BatchNormRelu
from netspec.ir.ops.bn import BatchNorm
from tests.backends.cpu.helpers import TYPES, assert_right, implementations, problem_of

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5, 7, 3), (4, 4, 16), (1, 1, 33), (19,), (1,)])
@pytest.mark.parametrize("kind", [BatchNorm, BatchNormRelu])
def test_it_is_the_operator(kind: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    problem = problem_of(kind(eps=1e-3), shape, dtype=dtype)
    assert list(implementations(problem)) == ["onednn", "torch"]
    for name in implementations(problem):
        if name != "torch" or dtype == torch.float32:
            assert_right(problem, name)

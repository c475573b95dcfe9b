"""Batch normalisation is one pass of the library."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from netspec.backends.cpu.onednn.library import missing
from netspec.ir.fused.bn_relu import BatchNormRelu
from netspec.ir.ops.bn import BatchNorm
from tests.backends.cpu.helpers import (
    TYPES,
    assert_right,
    computed,
    implementations,
    problem_of,
    tensors,
)

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "shape", [(5, 7, 3), (8, 6, 16), (1, 1, 33), (7, 1, 600), (3, 3, 1500), (19,), (1,)]
)
@pytest.mark.parametrize("kind", [BatchNorm, BatchNormRelu])
def test_it_is_the_operator(kind: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    problem = problem_of(kind(eps=1e-3), shape, dtype=dtype)
    assert list(implementations(problem)) == ["onednn", "torch"]
    for name in implementations(problem):
        if name != "torch" or dtype == torch.float32:
            assert_right(problem, name)


@pytest.mark.parametrize(
    ("shape", "pixels"),
    [
        ((56, 56, 64), 16),
        ((7, 7, 64), 7),
        ((13, 1, 99), 1),
        ((4, 4, 512), 2),
        ((4, 4, 513), 1),
        ((9,), 1),
    ],
)
def test_pixels_of_a_row_divide_those_of_an_image(shape: tuple[int, ...], pixels: int) -> None:
    problem = problem_of(BatchNorm(eps=1e-3), shape, dtype=torch.float32)
    packed = implementations(problem)["onednn"].pack(problem, tensors(problem))
    assert packed["shift"].numel() == packed["scale"].numel() == pixels * shape[-1]


@pytest.mark.skipif(torch.bfloat16 not in TYPES, reason="this CPU does not multiply bfloat16")
def test_factors_are_not_rounded_to_bfloat16() -> None:
    """The summand, -773, is of the size of the products, and the result is 7: in bfloat16 the
    summand would be off by up to 2."""
    problem = problem_of(BatchNorm(eps=1e-9), (2, 2, 1), dtype=torch.bfloat16)
    parameters = {name: t.fill_(1) for name, t in tensors(problem).items()}
    parameters["running_mean"].fill_(256)
    parameters["running_var"].fill_(0.109375)
    x = [torch.full((1, 2, 2, 1), 258.0, dtype=torch.bfloat16)]
    implementation = implementations(problem)["onednn"]
    y = computed(problem, implementation, implementation.pack(problem, parameters), x)
    exact = (x[0].double() - 256) / 0.109375**0.5 + 1
    torch.testing.assert_close(y.double(), exact.permute(0, 3, 1, 2), rtol=2**-8, atol=2**-8)

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.backends.cpu import lrn
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.operator import Operator
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Kernel
from tests.backends.cpu.helpers import TYPES, assert_right, implementations, problem_of
from tests.examples import examples

POOL = MaxPool(kernel=Kernel(3, 2), stride=(2, 2), pad=(1, 1, 0, 1), round="ceil")


@pytest.mark.parametrize("tile", [1, 12, 50, 2**18])
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 0.6, 0.0])
@pytest.mark.parametrize(("n", "groups"), [(1, 1), (3, 1), (5, 2), (9, 1), (11, 3)])
def test_tiles(
    n: int, groups: int, beta: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lrn, "TILE", tile)
    op = LocalResponseNorm(n=n, k=1.5, alpha=0.3, beta=beta, groups=groups)
    for dtype in (torch.float32, torch.float64):
        problem = problem_of(op, (3, 5, 6), dtype=dtype)
        assert list(implementations(problem))[-2:] == ["tiles", "torch"]
        assert_right(problem, "tiles")
    assert_right(problem_of(LrnMaxPool(lrn=op, pool=POOL), (3, 5, 6)), "tiles")


@pytest.mark.parametrize("dtype", TYPES)
@given(st.data())
@examples(60)
def test_by_onednn(dtype: torch.dtype, data: st.DataObject) -> None:
    def whole(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    groups = whole(1, 3)
    op = LocalResponseNorm(n=data.draw(st.sampled_from([3, 5])), k=1.5, alpha=0.3, groups=groups)
    size = whole(3, 9), whole(3, 9), groups * whole(1, 70)
    for one in (op, LrnMaxPool(lrn=op, pool=POOL)):
        problem = problem_of(one, size, dtype=dtype, batch=whole(1, 3))
        assert list(implementations(problem)) == ["onednn", "tiles", "torch"]
        assert_right(problem, "onednn", batches=(whole(1, 3),))


@pytest.mark.parametrize(
    "op",
    [
        LocalResponseNorm(n=5, beta=0.5),
        LrnMaxPool(lrn=LocalResponseNorm(n=5, beta=0.6), pool=POOL),
    ],
)
def test_what_the_library_cannot_do_well_others_do(op: Operator) -> None:
    problem = problem_of(op, (7, 5, 32))
    assert list(implementations(problem)) == ["tiles", "torch"]
    assert_right(problem, "tiles")

from __future__ import annotations

import pytest
import torch

from netspec.backends.cpu import lrn
from netspec.fused.lrn_maxpool import LrnMaxPool
from netspec.ops.lrn import LocalResponseNorm
from netspec.ops.maxpool import MaxPool
from netspec.shapes import Kernel
from tests.backends.cpu.helpers import assert_right, operands, ways, work_of

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
        work = work_of(op, (3, 5, 6), dtype=dtype)
        assert list(ways(work)) == ["tiles", "torch"]
        assert_right(work, "tiles")
    assert_right(work_of(LrnMaxPool(lrn=op, pool=POOL), (3, 5, 6)), "tiles")


def test_maps_that_are_slices_or_not_channels_last() -> None:
    work = work_of(LocalResponseNorm(n=3, alpha=0.3), (3, 5, 6))
    call = ways(work)["tiles"].bind(work, {})
    (x,) = operands(work, 2)
    wanted = call(x)
    whole = torch.cat([x, x, x], dim=1).contiguous(memory_format=torch.channels_last)
    for one in (x.contiguous(), whole.narrow(1, 6, 6)):
        assert torch.equal(call(one), wanted)
    assert wanted.is_contiguous(memory_format=torch.channels_last)

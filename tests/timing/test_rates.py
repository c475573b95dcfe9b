"""Rates: the fastest of several yardsticks, and the size of the cache."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
import torch

from netspec.backends.cpu.conv import OneDnnConv
from netspec.timing import rates
from netspec.timing.rates import HOST, Rates, Yardstick, cache_size, yardsticks


def test_the_fastest_of_each_kind_counts() -> None:
    known = {
        "slow product": Yardstick(lambda: None, operations=10),
        "product": Yardstick(lambda: None, operations=30),
        "copy": Yardstick(lambda: None, bytes=8),
        "slow copy": Yardstick(lambda: None, bytes=100),
    }
    seconds = {"slow product": 2.0, "product": 3.0, "copy": 1.0, "slow copy": 50.0}
    assert Rates.of(known, seconds, HOST)[:2] == (10.0, 8.0)


def test_bytes_that_the_cache_may_have_take_no_time() -> None:
    shown = Rates(product=10.0, memory=2.0, cache=100.0)
    assert shown.least(50.0, 99.0) == 5.0
    assert shown.least(50.0, 120.0) == 10.0
    assert Rates(10.0, 2.0).least(1.0, 1e9) == 0.1  # an unknown cache may have everything


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("refused", ["", "no library"])
def test_yardsticks_do_the_work_that_they_count(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, refused: str
) -> None:
    monkeypatch.setattr(rates, "SIZE", 16)
    monkeypatch.setattr(rates, "COPIED", 128)
    monkeypatch.setattr(rates, "CONVOLUTIONS", ((4, 16, 2),))
    if refused:
        monkeypatch.setattr(OneDnnConv, "refuses", lambda *_: refused)
    known = yardsticks(dtype)
    assert list(known) == [
        "matrix product",
        "convolution 4x4x16",
        "copy",
        "matrix-vector product",
    ]
    product = known["matrix product"].call()
    assert (product.shape, product.dtype) == ((16, 16), dtype)
    assert known["matrix product"].operations == 2 * 16**3
    # Along each axis, 10 of 12 taps are on the map: 2 of the first and of the last window, 3 of
    # the two others.
    assert known["convolution 4x4x16"].operations == pytest.approx(2 * 2 * 10 * 10 * 16 * 16)
    convolved = known["convolution 4x4x16"].call()
    assert (convolved is None) == (not refused)  # bound calls write into memory of their own
    assert (known["copy"].call().nbytes, known["copy"].bytes) == (128, 256)
    assert known["matrix-vector product"].call().shape == (128 // (16 * dtype.itemsize),)
    assert known["matrix-vector product"].bytes == 128


def test_the_last_level_cache_is_the_largest(tmp_path: Path) -> None:
    for number, size in enumerate(("32K", "1024K", "32M")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(f"{size}\n")
    assert cache_size(folder=tmp_path) == 2**25
    (tmp_path / "index3").mkdir()
    (tmp_path / "index3" / "size").write_text("much\n")
    assert cache_size(folder=tmp_path) == inf
    assert cache_size(folder=tmp_path / "nowhere") == inf

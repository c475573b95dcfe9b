from __future__ import annotations

from typing import Any

import pytest
import torch

from netspec.backends.cpu import pools
from netspec.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.fused.maxpool_relu import MaxPoolRelu
from netspec.operator import pool_padding
from netspec.ops.avgpool import AvgPool
from netspec.ops.maxpool import MaxPool
from netspec.shapes import Kernel
from tests.backends.cpu.helpers import assert_right, work_of

WINDOWS: list[dict[str, Any]] = [
    {"kernel": Kernel(3, 3, stride=2)},
    {"kernel": Kernel(1, 1)},
    {"kernel": Kernel(2, 3), "stride": (2, 1)},
    {"kernel": Kernel(3, 3, stride=2), "round": "ceil"},
    {"kernel": Kernel(3, 3, stride=2), "pad": (1, 1, 1, 1)},
    {"kernel": Kernel(3, 3, stride=2), "pad": (1, 1, 1, 1), "round": "ceil"},
    {"kernel": Kernel(2, 2, stride=3), "pad": (1, 1, 1, 1), "round": "ceil"},
    {"kernel": Kernel(3, 3), "pad": (2, 2, 2, 2)},
    {"kernel": Kernel(3, 3, stride=2), "pad": (0, 1, 1, 0)},
    {"kernel": Kernel(3, 2, stride=2), "pad": (0, 1, 1, 0), "round": "ceil"},
    {"kernel": Kernel(3, 3, stride=2), "pad": "same"},
    {"kernel": Kernel(2, 2, stride=4), "pad": "same", "round": "ceil"},
    {"kernel": Kernel(3, 5), "pad": "half"},
]
SIZES = [(7, 8, 3), (10, 11, 5), (5, 5, 1)]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_maxima(window: dict[str, Any]) -> None:
    for size in SIZES:
        for op in (MaxPool(**window), MaxPoolRelu(**window)):
            assert_right(work_of(op, size), "torch")


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_averages(window: dict[str, Any], counts: bool) -> None:
    for size in SIZES:
        for kind in (AvgPool, AvgPoolBias, AvgPoolBiasRelu):
            assert_right(work_of(kind(**window, count_pad=counts), size), "torch")
    assert_right(work_of(AvgPoolBias(**window, count_pad=counts), SIZES[0], dtype=torch.float64),
                 "torch")  # fmt: skip


def test_padding_that_pytorch_takes_itself_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object) -> None:
        raise AssertionError("the map is copied")

    monkeypatch.setattr(MaxPool, "reference", refused)
    monkeypatch.setattr(AvgPool, "reference", refused)
    x = torch.rand(2, 3, 7, 8)
    inputs = work_of(MaxPool(**WINDOWS[0]), SIZES[0]).inputs
    windows = [MaxPool(**w).windows(inputs) for w in WINDOWS]
    own = [n for n, found in enumerate(windows) if pool_padding(found) is not None]
    assert own == [0, 1, 2, 3, 4, 5, 6, 11, 12]
    for number in own:
        pools.max_pool(MaxPool(**WINDOWS[number]), inputs)(x)

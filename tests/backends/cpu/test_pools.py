from __future__ import annotations

from typing import Any

import pytest
import torch

from netspec.backends.cpu import pools
from netspec.backends.implementation import Work
from netspec.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.fused.maxpool_relu import MaxPoolRelu
from netspec.operator import pool_padding
from netspec.ops.avgpool import AvgPool
from netspec.ops.maxpool import MaxPool
from netspec.shapes import Kernel, Shape
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


@pytest.mark.parametrize("size", [(28, 28, 48), (3, 3, 1), (5, 64, 130)])
def test_neighbours_give_the_maxima_to_the_bit(
    size: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "LARGE", 0)
    op = MaxPool(kernel=Kernel(3, 3), pad="half")
    work = Work(op, (Shape(size),), torch.float32, 2)
    way = pools.NeighbourMaxPool()
    assert not way.refuses(work)
    x = torch.randn(2, *Shape(size).torch).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    y = way.bind(work, {})(x)
    assert torch.equal(y, op.reference([Shape(size)], x))
    assert torch.equal(x, before)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_neighbours_are_for_large_maps_that_keep_their_size() -> None:
    way = pools.NeighbourMaxPool()
    for attributes, size, reason in (
        ({"kernel": Kernel(3, 3), "pad": "half"}, (28, 28, 8), "small"),
        ({"kernel": Kernel(3, 3, None, 2), "pad": (1, 1, 1, 1)}, (500, 500, 8), "stride 1"),
        ({"kernel": Kernel(5, 5), "pad": "half"}, (500, 500, 8), "3x3"),
        ({"kernel": Kernel(3, 3)}, (500, 500, 8), "keep the size"),
        ({"kernel": Kernel(3, 3), "pad": "half"}, (2, 500, 800), "smaller than a window"),
    ):
        work = Work(MaxPool(**attributes), (Shape(size),), torch.float32, 1)
        assert reason in way.refuses(work)

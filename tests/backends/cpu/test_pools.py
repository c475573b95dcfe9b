from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.backends.cpu import pools
from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.operator import pool_padding
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.shapes import Kernel, ShapeError
from netspec.lowering.implementation import Problem
from tests.backends.cpu.helpers import TYPES, assert_right, implementations, problem_of
from tests.examples import examples

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
DILATED: list[dict[str, Any]] = [
    {"kernel": Kernel(3, 3), "dilation": (9, 9), "pad": (9, 9, 9, 9)},
    {"kernel": Kernel(3, 2, stride=2), "dilation": (2, 3)},
    {"kernel": Kernel(2, 2), "dilation": (2, 2), "pad": (1, 1, 1, 1)},
    {"kernel": Kernel(3, 2, stride=2), "dilation": (2, 1), "pad": (1, 1, 1, 1), "round": "ceil"},
    {"kernel": Kernel(2, 3, stride=2), "dilation": (3, 1), "pad": (0, 2, 1, 0), "round": "ceil"},
]
SIZES = [(7, 8, 3), (10, 11, 5), (5, 5, 1)]
KINDS = [MaxPool, MaxPoolRelu, AvgPool, AvgPoolBias, AvgPoolBiasRelu]


def assert_all_right(problem: Problem) -> None:
    for name in implementations(problem):
        assert_right(problem, name)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_maxima(window: dict[str, Any]) -> None:
    for size in SIZES:
        for op in (MaxPool(**window), MaxPoolRelu(**window)):
            assert_all_right(problem_of(op, size))


@pytest.mark.parametrize("window", DILATED, ids=str)
def test_dilated_maxima(window: dict[str, Any]) -> None:
    lrn = LocalResponseNorm(n=5, k=1.0, alpha=0.02)
    pool = MaxPool(**window)
    for op in (pool, MaxPoolRelu(**window), LrnMaxPool(lrn=lrn, pool=pool)):
        for size in ((7, 8, 16), (10, 11, 5)):
            assert_all_right(problem_of(op, size))


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("window", WINDOWS + DILATED, ids=str)
def test_averages(window: dict[str, Any], counts: bool) -> None:
    for size in SIZES:
        for kind in (AvgPool, AvgPoolBias, AvgPoolBiasRelu):
            assert_all_right(problem_of(kind(**window, count_pad=counts), size))
    assert_right(problem_of(AvgPoolBias(**window, count_pad=counts), SIZES[0], dtype=torch.float64),
                 "torch")  # fmt: skip


def test_padding_that_pytorch_takes_itself_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise AssertionError("the map is copied")

    monkeypatch.setattr(MaxPool, "reference", refused)
    monkeypatch.setattr(AvgPool, "reference", refused)
    x = torch.rand(2, 3, 7, 8)
    inputs = problem_of(MaxPool(**WINDOWS[0]), SIZES[0]).inputs
    windows = [MaxPool(**w).windows(inputs) for w in WINDOWS]
    own = [n for n, axes in enumerate(windows) if pool_padding(axes) is not None]
    assert own == [0, 1, 2, 3, 4, 5, 6, 11, 12]
    for number in own:
        pools.plain_pool(MaxPool(**WINDOWS[number]), inputs)(x)


@pytest.mark.parametrize("dtype", TYPES)
@given(st.data())
@examples(60)
def test_pools_of_any_size(dtype: torch.dtype, data: st.DataObject) -> None:
    def whole(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    kind = data.draw(st.sampled_from(KINDS))
    counts = {"count_pad": data.draw(st.booleans())} if issubclass(kind, AvgPool) else {}
    op = kind(
        kernel=Kernel(whole(1, 4), whole(1, 4)),
        stride=(whole(1, 3), whole(1, 3)),
        pad=(whole(0, 2), whole(0, 2), whole(0, 2), whole(0, 2)),
        round=data.draw(st.sampled_from(["floor", "ceil"])),
        **counts,
    )
    problem = problem_of(
        op, (whole(1, 9), whole(1, 9), whole(1, 40)), batch=whole(1, 3), dtype=dtype
    )
    try:
        op.windows(problem.inputs)
    except ShapeError:
        return
    assert_right(problem, next(iter(implementations(problem))), batches=(whole(1, 3),))


def test_what_hangs_over_the_edge_is_not_counted_as_the_library_would() -> None:
    pad = (1, 1, 1, 1)
    op = AvgPool(kernel=Kernel(3, 3, stride=2), pad=pad, round="ceil", count_pad=True)
    problem = problem_of(op, (9, 9, 3))
    assert list(implementations(problem)) == ["onednn", "torch"]  # nothing hangs over
    problem = problem_of(op, (8, 8, 3))
    assert "counts the part of a window beyond the padding" in pools.OneDnnPool().refuses(problem)
    assert list(implementations(problem)) == ["torch"]


def test_without_padding_it_does_not_matter_whether_it_is_counted() -> None:
    op = AvgPool(kernel=Kernel(3, 3, stride=2), round="ceil", count_pad=True)
    problem = problem_of(op, (8, 8, 3))
    assert list(implementations(problem)) == ["onednn", "torch"]
    assert_right(problem, "onednn")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [(7, 7, 33), (1, 1, 4), (3, 8, 64)])
def test_means_of_whole_maps(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    problem = problem_of(GlobalAveragePool(), size, dtype=dtype)
    assert list(implementations(problem)) == ["onednn", "torch"]
    assert_right(problem, "onednn")

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netspec
from netspec import loads
from netspec.backends.cpu import onednn
from netspec.compiler import random_images, verify
from netspec.fused.conv_relu import ConvRelu
from netspec.fused.fc_relu import FullyConnectedRelu
from netspec.operator import attributes_as
from netspec.ops.conv import Conv
from netspec.ops.fc import FullyConnected
from netspec.shapes import Kernel, ShapeError
from netspec.values import Table
from tests.backends.cpu.helpers import assert_right, ways, work_of
from tests.backends.helpers import RICH

DTYPES = [torch.float32] + [torch.bfloat16] * torch.ops.mkldnn._is_mkldnn_bf16_supported()


def table(*rows: str) -> Table:
    return loads(
        f"net a\ninput image 4x4x{len(rows)}\na: conv 1x1, {len(rows[0])}, connect=t\n"
        "connect t {\n    " + "\n    ".join(rows) + "\n}"
    ).graph.stage("a").op.connect  # type: ignore[attr-defined, no-any-return]  # fmt: skip


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"groups": 2},
    {"groups": 4, "pad": (1, 1, 1, 1)},
    {"dilation": (2, 1)},
    {"pad": (1, 1, 0, 0), "stride": (1, 2)},
    {"pad": (0, 1, 1, 0)},
    {"pad": (1, 0, 0, 1), "dilation": (1, 2), "groups": 2, "bias": False},
    {"round": "ceil", "stride": (2, 3)},
    {"round": "ceil", "stride": (2, 3), "pad": (1, 1, 1, 1), "groups": 2},
    {"pad": "same", "stride": (2, 2)},
    {"pad": "half"},
    {"connect": table("X.XX.XX.", ".XX..XXX", "XXXXXXX.", "........")},
    {"connect": table("XXXXXXXX", "XXXXXXXX", "........", "XXXXXXXX"), "pad": (1, 0, 1, 0)},
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", CONVOLUTIONS, ids=str)
def test_convolutions(given: dict[str, Any], dtype: torch.dtype) -> None:
    conv = Conv(kernel=Kernel(3, 3), count=8, **given)
    for op in (conv, attributes_as(ConvRelu, conv)):
        work = work_of(op, (8, 9, 4), dtype=dtype)
        assert list(ways(work)) == ["onednn", "torch"]
        for name in ways(work):
            if name == "onednn" or dtype == torch.float32:
                assert_right(work, name)


@given(st.data())
@settings(max_examples=60)
def test_convolutions_of_any_size(data: st.DataObject) -> None:
    def whole(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    groups = whole(1, 3)
    op = Conv(
        kernel=Kernel(whole(1, 4), whole(1, 4)),
        count=groups * whole(1, 9),
        stride=(whole(1, 3), whole(1, 3)),
        dilation=(whole(1, 2), whole(1, 2)),
        pad=(whole(0, 2), whole(0, 2), whole(0, 2), whole(0, 2)),
        round=data.draw(st.sampled_from(["floor", "ceil"])),
        groups=groups,
        bias=data.draw(st.booleans()),
    )
    work = work_of(op, (whole(1, 9), whole(1, 9), groups * whole(1, 9)), batch=whole(1, 3))
    try:
        op.windows(work.inputs)
    except ShapeError:
        return
    assert_right(work, "onednn", batches=(whole(1, 3),))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(17,), (1,), (3, 5, 4), (1, 1, 9)])
@pytest.mark.parametrize("bias", [True, False])
def test_fully_connected(size: tuple[int, ...], bias: bool, dtype: torch.dtype) -> None:
    for kind in (FullyConnected, FullyConnectedRelu):
        work = work_of(kind(count=7, bias=bias), size, dtype=dtype)
        assert list(ways(work)) == ["onednn", "onednn-stream", "torch"]
        for name in ways(work):
            if name != "torch" or dtype == torch.float32:
                assert_right(work, name)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    for op in (Conv(kernel=Kernel(3, 3), count=8), FullyConnected(count=3)):
        work = work_of(op, (8, 9, 4), dtype=dtype)
        assert list(ways(work)) == ["torch"]
        assert onednn.OneDnnConv().refuses(work) == f"oneDNN has none in {dtype}"
        if dtype == torch.float64:
            assert_right(work, "torch")


def test_bfloat16_needs_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    work = work_of(FullyConnected(count=3), (5,), dtype=torch.bfloat16)
    assert list(ways(work)) == ["torch"]
    assert "no instructions for bfloat16" in onednn.OneDnnLinear().refuses(work)
    model = netspec.compile(loads(RICH), dtype=torch.bfloat16)
    assert "onednn" not in {way.name for way in model.lowered.ways.values()}
    assert model(torch.rand(2, 3, 9, 9, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("missing", ["library", "operators"])
def test_without_onednn_the_plain_ones_take_over(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "library":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    else:
        monkeypatch.setattr(onednn, "NEEDED", (*onednn.NEEDED, "_no_such_operator"))
    work = work_of(Conv(kernel=Kernel(3, 3), count=8), (8, 9, 4))
    assert onednn.OneDnnConv().refuses(work).startswith("this PyTorch has no ")
    model = netspec.compile(loads(RICH))
    assert {way.name for way in model.lowered.ways.values()} == {"torch", "tiles", "copy"}
    assert verify(model, random_images(model.net)).passed

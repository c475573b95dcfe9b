from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec.backends.cpu.space_to_depth import SpaceToDepth
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.operator import attributes_as
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel, ShapeError
from tests.backends.cpu.helpers import TYPES, assert_right, implementations, problem_of
from tests.examples import examples

FIRST = "space-to-depth"


@given(st.data())
@examples(60)
def test_any_size(data: st.DataObject) -> None:
    def whole(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    stride = whole(2, 4)
    op = data.draw(st.sampled_from([Conv, ConvRelu]))(
        kernel=Kernel(whole(1, 4), whole(stride, 11)),
        count=whole(1, 20),
        stride=(whole(1, 3), stride),
        dilation=(whole(1, 2), 1),
        pad=(whole(0, 2), whole(0, 2), whole(0, 6), whole(0, 6)),
        round=data.draw(st.sampled_from(["floor", "ceil"])),
        bias=data.draw(st.booleans()),
    )
    sizes = whole(1, 9), stride * whole(1, 6), whole(1, 4)
    problem = problem_of(op, sizes, batch=whole(1, 3), dtype=data.draw(st.sampled_from(TYPES)))
    try:
        op.windows(problem.inputs)
    except ShapeError:
        return
    assert_right(problem, FIRST, batches=(whole(1, 3),))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "count"),
    [(11, 4, (0, 3, 0, 3), 96), (7, 2, (3, 2, 3, 2), 64), (3, 2, (0, 0, 0, 0), 64)],
    ids=["alexnet", "googlenet", "squeezenet"],
)
def test_first_convolutions_of_nets(
    kernel: int, stride: int, pad: tuple[int, ...], count: int, dtype: torch.dtype
) -> None:
    conv = Conv(kernel=Kernel(kernel, kernel), count=count, stride=(stride, stride), pad=pad)
    problem = problem_of(attributes_as(ConvRelu, conv), (224, 224, 3), dtype=dtype)
    assert next(iter(implementations(problem))) == FIRST
    assert_right(problem, FIRST, batches=(1, 2))


@pytest.mark.parametrize(
    ("change", "width", "reason"),
    [
        ({}, 8, ""),
        ({"groups": 2}, 8, "each filter must see all channels"),
        ({"stride": (2, 1)}, 8, "windows must be two columns or more apart, with adjacent taps"),
        ({"dilation": (1, 2)}, 8, "windows must be two columns or more apart, with adjacent taps"),
        ({}, 9, "the stride must divide the width"),
        ({"stride": (1, 4)}, 8, "windows must cover all columns"),
    ],
    ids=str,
)
def test_refusals(change: dict[str, Any], width: int, reason: str) -> None:
    op = replace(Conv(kernel=Kernel(3, 3), count=8, stride=(2, 2)), **change)
    assert SpaceToDepth().refuses(problem_of(op, (8, width, 4))) == reason


def test_many_channels_are_not_joined() -> None:
    op = Conv(kernel=Kernel(3, 3), count=8, stride=(2, 2))
    assert next(iter(implementations(problem_of(op, (8, 8, 4))))) == FIRST
    assert next(iter(implementations(problem_of(op, (8, 8, 5))))) == "onednn"


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_pixel_after_the_window_changes_nothing(value: float) -> None:
    """A window of five columns reads eight with pixels in fours, the last three times zero."""
    net = netspec.loads("net a\ninput image 1x8x3\nC: conv 1x5/4, 8\n")
    model, image = netspec.compile(net), torch.rand(1, 3, 1, 8)
    assert model.lowered.choices["C"].implementation == FIRST
    clean = model(image)
    image[0, 1, 0, 6] = value
    assert torch.allclose(model(image), clean, rtol=1e-6, atol=1e-6)

"""Winograd's method is held against the operator, in blocks of every kind."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec.backends.cpu import CpuBackend, tiling
from netspec.backends.cpu.onednn.library import missing
from netspec.backends.cpu.tiling import Tiling, upright
from netspec.backends.cpu.winograd import Winograd
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel, ShapeError
from netspec.lowering.implementation import Problem
from netspec.training import process
from tests.backends.cpu.helpers import assert_right, problem_of, tensors
from tests.examples import examples

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def conv(*kernel: int, count: int = 8, **attributes: Any) -> Conv:
    return Conv(kernel=Kernel(*kernel), count=count, **attributes)


@given(st.data())
@examples(80)
def test_any_size_in_any_blocks(data: st.DataObject) -> None:
    def whole(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    groups, taps = whole(1, 3), data.draw(st.sampled_from([3, 5, 7]))
    seen, other = whole(2, 9), whole(1, 4)
    is_flat = data.draw(st.booleans())
    pad = whole(0, taps - 1), whole(0, taps - 1)
    attributes: dict[str, Any] = {"count": groups * whole(1, 9), "groups": groups}
    attributes["bias"] = data.draw(st.booleans())
    if is_flat:
        op = ConvRelu(kernel=Kernel(1, taps), pad=(0, 0, *pad), **attributes)
    else:
        op = ConvRelu(
            kernel=Kernel(taps, other),
            stride=(1, whole(1, 2)),
            dilation=(1, whole(1, 2)),
            pad=(*pad, 3, 3),
            **attributes,
        )
    long, short = whole(max(1, taps - sum(pad)), 24), whole(1, 6)
    size = (short, long) if is_flat else (long, short)
    problem = problem_of(op, (*size, groups * seen), batch=whole(1, 3))
    try:
        op.windows(problem.inputs)
    except ShapeError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "BLOCK", data.draw(st.sampled_from([1, 2**10, 2**12, 2**20])))
        assert_right(problem, "winograd", batches=(whole(1, 4),))


def blocks(problem: Problem) -> list[tuple[int, ...]]:
    turned = upright(problem)
    assert turned is not None
    return [tuple(block) for block in Tiling(turned).blocks()]


def test_blocks_cover_every_tile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The products of a map have 24,576 bytes.
    small = problem_of(conv(3, 3, count=16, pad=(1, 1, 1, 1)), (30, 8, 2), batch=5)
    for size, count in ((1, 40), (12_000, 10), (20_000, 5), (2**16, 3), (2**17, 1)):
        monkeypatch.setattr(tiling, "BLOCK", size)
        assert len(blocks(small)) == count
        covered = [
            (image + i, tile + j)
            for image, images, tile, tiles in blocks(small)
            for i in range(images)
            for j in range(tiles)
        ]
        assert sorted(covered) == [(i, j) for i in range(5) for j in range(8)]


def test_large_maps_are_computed_in_parts() -> None:
    large = problem_of(conv(3, 3, count=64, pad=(1, 1, 1, 1)), (224, 224, 64), batch=1)
    assert [block[2:] for block in blocks(large)] == [(tile, 4) for tile in range(0, 56, 4)]


REFUSED = {
    "Winograd's method needs 3, 5 or 7 adjacent taps along an axis with stride 1": [
        conv(1, 1),
        conv(2, 2),
        conv(3, 3, stride=(2, 1)),
        conv(3, 3, dilation=(2, 1)),
        conv(1, 3, stride=(2, 1)),
    ],
    "Winograd's method does not help if each filter sees one channel": [
        conv(3, 3, groups=4, pad=(1, 1, 1, 1))
    ],
}


@pytest.mark.parametrize(("reason", "op"), [(r, op) for r, ops in REFUSED.items() for op in ops])
def test_refusals(reason: str, op: Conv) -> None:
    assert Winograd().refuses(problem_of(op, (9, 9, 4))) == reason


def test_other_types_are_refused() -> None:
    problem = problem_of(conv(3, 3), (9, 9, 4), dtype=torch.bfloat16)
    assert Winograd().refuses(problem) == "Winograd's method needs the precision of float32"


@pytest.mark.parametrize(
    ("pays", "size", "count", "kernel", "batch"),
    [
        ("1 2", (56, 56, 256), 256, (3, 3), 1),
        ("1 2", (14, 14, 256), 256, (3, 3), 1),
        ("1 2", (27, 27, 96), 256, (5, 5), 1),
        ("", (7, 7, 512), 512, (3, 3), 1),  # reading larger weights takes longer
        ("1 2", (7, 7, 512), 512, (3, 3), 8),
        ("", (224, 224, 3), 64, (3, 3), 1),  # few products for each element
        ("", (14, 14, 50), 5, (5, 5), 1),
        ("1", (14, 14, 32), 128, (5, 5), 1),  # launches on two cores take longer than the products
        ("1 2", (28, 28, 32), 96, (5, 5), 1),
        ("", (17, 17, 128), 128, (7, 1), 1),
        ("1 2", (14, 14, 128), 256, (3, 3), 1),  # 0.83 of a direct convolution on two cores
        ("1", (14, 14, 112), 224, (3, 3), 1),  # 0.87
    ],
)
def test_it_is_preferred_where_it_pays(
    pays: str, size: tuple[int, ...], count: int, kernel: tuple[int, int], batch: int
) -> None:
    problem = problem_of(conv(*kernel, count=count, pad="half"), size, batch=batch)
    for threads in (1, 2):
        with process.threads(threads):
            names = [i.name for i in CpuBackend().implementations(problem)]
        assert names[0] == ("winograd" if str(threads) in pays else "onednn")
        assert "winograd" in names


def test_exact_nets_do_not_use_it() -> None:
    net = netspec.loads("net a\ninput image 56x56x64\nC1: conv 3x3, 64, pad=1 | relu")
    chosen = [
        netspec.compile(net, exact=exact).lowered.choices["C1.relu"].implementation
        for exact in (False, True)
    ]
    assert chosen == ["winograd", "onednn"]


def test_weights_are_unpacked_bit_for_bit() -> None:
    problem = problem_of(conv(5, 3, count=3), (9, 9, 2))
    weights = tensors(problem)
    flat = weights["weight"].view(-1).view(torch.int32)
    # The largest and the smallest numbers, and zeros of both signs.
    numbers = [0x7F7FFFFF, -8388609, 1, -2147483647, 0, -2147483648]
    for i in range(len(flat) // 2):
        flat[2 * i] = numbers[i % len(numbers)]
    implementation = Winograd()
    back = implementation.unpack(problem, implementation.pack(problem, weights))
    for name, tensor in weights.items():
        assert torch.equal(back[name].view(torch.int32), tensor.view(torch.int32))


def test_weights_whose_factors_could_overflow_are_outside_its_domain() -> None:
    problem, implementation = problem_of(conv(3, 3), (9, 9, 4)), Winograd()
    weights = {name: torch.full_like(t, 1e33) for name, t in tensors(problem).items()}
    growth = implementation.growth(problem, weights)
    assert 0 < implementation.domain(problem, growth) < inf
    weights["weight"] *= 1e5
    assert implementation.domain(problem, implementation.growth(problem, weights)) == -inf


def test_a_net_computes_the_same_for_a_nan_and_an_infinity() -> None:
    """They would spread over a tile: the plain net computes such images."""
    net = netspec.loads("net a\ninput image 56x56x64\nC1: conv 3x3, 64, pad=1 | relu")
    model, reference = netspec.compile(net), netspec.reference(net)
    assert model.lowered.choices["C1.relu"].implementation == "winograd"
    reference.load_state_dict(model.state_dict())
    image = torch.rand(2, 64, 56, 56)
    torch.testing.assert_close(model(image), reference(image))
    image[0, 5, 7, 9], image[1, 3, 20, 20] = torch.nan, torch.inf
    torch.testing.assert_close(model(image), reference(image), equal_nan=True)

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.conv import input_gradient, packed, tiles, weight_gradient
from netspec.kernels.launch import run
from tests.examples import examples
from tests.kernels.conv.layers import (
    FIRST,
    GROUPED,
    MANY_CHANNELS,
    NO_IMAGES,
    Layer,
    layers,
)
from tests.kernels.helpers import (
    assert_within,
    gpu,
    guarded,
    normal,
    only_on_gpu,
    rounding,
    within,
)


def gradient_behind_relu(layer: Layer) -> tuple[Tensor | None, Tensor]:
    """The output that says where a ReLU was open, if there was one, and dy as it passed it."""
    if not layer.relu:
        return None, layer.dy
    y = layer.y.to(layer.dtype).to(layer.x.device)
    return y, torch.where(y > 0, layer.dy, 0.0)


@examples(10)
@given(layer=layers(), number=st.integers(0, 3), in_slices=st.booleans())
@example(GROUPED, 0, False)
@example(MANY_CHANNELS, 1, True)
@example(FIRST, 0, True)
@example(NO_IMAGES, 0, False)
@example(Layer((1, 2, 3, 2), 2, (1, 1), (5, 4)), 0, False)
def test_the_input_gradient(layer: Layer, number: int, in_slices: bool) -> None:
    y, g = gradient_behind_relu(layer)
    known = input_gradient.TILES[tiles.arithmetic(layer.dtype, "ieee")]
    dy = within(layer.dy) if in_slices else layer.dy
    mask = None if y is None else within(y, 1, 6) if in_slices else y
    dx = guarded(*layer.size, dtype=layer.dtype)
    run(
        input_gradient.launches(
            dy, mask, layer.w, dx.slice, layer.geometry,
            precision="ieee", tile=known[number % len(known)],
        )
    )  # fmt: skip
    dx.assert_intact()
    dx.assert_written()
    exact = layer.gradients(layer.x, layer.w, g)[0]
    magnitude = layer.gradients(layer.x, layer.w.abs(), g.abs())[0]
    terms = layer.kernel[0] * layer.kernel[1] * layer.geometry.count_of_group
    assert_within(dx.slice, exact, rounding(exact, layer.dtype, terms=terms, magnitude=magnitude))


def assert_weight_gradient(layer: Layer, number: int, runs: int, *, in_slices: bool) -> None:
    y, g = gradient_behind_relu(layer)
    table = weight_gradient.TILES
    if packed.fits(layer.geometry):
        table = weight_gradient.PACKED_TILES
    known = table[tiles.arithmetic(layer.dtype, "ieee")]
    dy = within(layer.dy) if in_slices else layer.dy
    mask = None if y is None else within(y, 1, 6) if in_slices else y
    x = within(layer.x) if in_slices else layer.x
    dw = torch.full_like(layer.w, torch.nan)
    db = torch.full_like(layer.w[:, 0, 0, 0], torch.nan)
    tile = replace(known[number % len(known)], splits=runs)
    run(weight_gradient.launches(dy, mask, x, dw, db, layer.geometry, precision="ieee", tile=tile))
    exact = layer.gradients(layer.x, layer.w, g)
    magnitude = layer.gradients(layer.x.abs(), layer.w, g.abs())
    terms = layer.geometry.pixels_out + runs
    for ours, wanted, size in zip((dw, db), exact[1:], magnitude[1:], strict=True):
        assert_within(ours, wanted, rounding(wanted, layer.dtype, terms=terms, magnitude=size))


@examples(12)
@given(layer=layers(), number=st.integers(0, 3), runs=st.integers(1, 4), in_slices=st.booleans())
@example(replace(GROUPED, size=(1, 5, 5, 32), count=64), 0, 2, False)
@example(MANY_CHANNELS, 1, 1, True)
@example(NO_IMAGES, 0, 3, False)
def test_the_weight_and_bias_gradients(
    layer: Layer, number: int, runs: int, in_slices: bool
) -> None:
    assert_weight_gradient(layer, number, runs, in_slices=in_slices)


@examples(15)
@given(
    layer=layers(most_channels=packed.MOST_CHANNELS, groups=1),
    number=st.integers(0, 1),
    runs=st.integers(1, 4),
    in_slices=st.booleans(),
)
@example(FIRST, 0, 1, False)
@example(replace(FIRST, dtype=torch.float16), 1, 3, True)
def test_the_weight_and_bias_gradients_of_a_first_layer(
    layer: Layer, number: int, runs: int, in_slices: bool
) -> None:
    assume(packed.fits(layer.geometry))
    assert_weight_gradient(layer, number, runs, in_slices=in_slices)


def test_the_weight_gradient_is_the_same_each_time() -> None:
    layer = Layer((2, 9, 8, 20), 12, (3, 3), relu=True, dtype=torch.float32)
    results = []
    for _ in range(2):
        dw, db = torch.empty_like(layer.w), torch.empty_like(layer.w[:, 0, 0, 0])
        tile = replace(weight_gradient.TILES["ieee"][1], splits=4)
        run(
            weight_gradient.launches(
                layer.dy, None, layer.x, dw, db, layer.geometry, precision="ieee", tile=tile
            )
        )
        results.append(torch.cat([dw.flatten(), db]))
    assert torch.equal(*results)


@gpu
@only_on_gpu
def test_gradients_of_more_than_2_31_elements() -> None:
    """The last image of a batch whose elements int32 cannot count."""
    attributes = ([1, 1], [1, 1, 1, 1], [1, 1], 1, "ieee")
    x = torch.zeros(33, 1024, 1024, 64, dtype=torch.float16, device="cuda")
    x[-1] = normal(1024, 1024, 64, dtype=torch.float16, seed=1)
    w = normal(64, 3, 3, 64, dtype=torch.float16, seed=2)
    dx = torch.ops.netspec.conv2d_input_gradient(x, None, w, x.shape, *attributes)
    last = torch.ops.netspec.conv2d_input_gradient(x[-1:], None, w, x[-1:].shape, *attributes)
    assert x.numel() > 2**31
    assert torch.equal(dx[-1:], last)
    assert not bool(dx[:-1].any())
    dy = torch.zeros(33, 1024, 1024, 64, dtype=torch.float16, device="cuda")
    dy[-1, 5, 5] = 1
    dw, db = torch.ops.netspec.conv2d_weight_gradient(dy, None, x, w.shape, *attributes)
    window = x[-1, 4:7, 4:7]
    assert torch.equal(dw, window.expand(64, 3, 3, 64))
    assert bool((db == 1).all())


@gpu
@only_on_gpu
def test_gradients_at_8_warps() -> None:
    layer = Layer((2, 20, 20, 70), 130, (3, 3), padding=(1, 1, 1, 1), dtype=torch.float16)
    exact = layer.gradients(layer.x, layer.w, layer.dy)
    for tile in input_gradient.TILES["half"]:
        dx = torch.full_like(layer.x, torch.nan)
        eight = replace(tile, warps=8)
        run(
            input_gradient.launches(
                layer.dy, None, layer.w, dx, layer.geometry, precision="ieee", tile=eight
            )
        )
        magnitude = layer.gradients(layer.x, layer.w.abs(), layer.dy.abs())[0]
        terms = 9 * layer.count
        assert_within(dx, exact[0], rounding(exact[0], dx.dtype, terms=terms, magnitude=magnitude))
    for tile in weight_gradient.TILES["half"]:
        dw, db = torch.full_like(layer.w, torch.nan), torch.full_like(layer.dy[0, 0, 0], torch.nan)
        eight = replace(tile, warps=8, splits=3)
        run(
            weight_gradient.launches(
                layer.dy, None, layer.x, dw, db, layer.geometry, precision="ieee", tile=eight
            )
        )
        magnitude = layer.gradients(layer.x.abs(), layer.w, layer.dy.abs())[1]
        terms = layer.geometry.pixels_out + 3
        assert_within(dw, exact[1], rounding(exact[1], dw.dtype, terms=terms, magnitude=magnitude))

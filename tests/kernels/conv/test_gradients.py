from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.conv import input_gradient, packed, tiles, weight_gradient
from netspec.kernels.launch import run
from tests.kernels.conv.layers import (
    ALEXNET_C2,
    FIRST,
    MANY_CHANNELS,
    NO_IMAGES,
    Layer,
    layers,
)
from tests.kernels.helpers import assert_within, guarded, rounding, within


def gradient_behind_relu(layer: Layer) -> tuple[Tensor | None, Tensor]:
    """The output that says where a ReLU was open, if there was one, and dy as it passed it."""
    if not layer.relu:
        return None, layer.dy
    y = layer.y.to(layer.dtype).to(layer.x.device)
    return y, torch.where(y > 0, layer.dy, 0.0)


@settings(max_examples=10)
@given(layer=layers(), number=st.integers(0, 3), in_slices=st.booleans())
@example(ALEXNET_C2, 0, False)
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


@settings(max_examples=12)
@given(layer=layers(), number=st.integers(0, 3), runs=st.integers(1, 4), in_slices=st.booleans())
@example(replace(ALEXNET_C2, size=(1, 5, 5, 32), count=64), 0, 2, False)
@example(MANY_CHANNELS, 1, 1, True)
@example(NO_IMAGES, 0, 3, False)
def test_the_weight_and_bias_gradients(
    layer: Layer, number: int, runs: int, in_slices: bool
) -> None:
    assert_weight_gradient(layer, number, runs, in_slices=in_slices)


@settings(max_examples=15)
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

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from netspec.kernels.conv import implicit, packed, split, tiles
from netspec.kernels.conv.tiles import ProductTile
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
    interpreter_meets_nan,
    normal,
    only_on_gpu,
    rounding,
    within,
)

FORWARD = {"implicit": implicit, "split": split, "packed": packed}


def tile_for(layer: Layer, kernel: ModuleType, number: int) -> ProductTile:
    """One of the shipped tiles; for a split sum, in two or three parts."""
    known = kernel.TILES[tiles.arithmetic(layer.dtype, "ieee")]
    tile: ProductTile = known[number % len(known)]
    return replace(tile, splits=2 + number % 2) if kernel is split else tile


def assert_right(layer: Layer, kernel: ModuleType, number: int, *, in_slices: bool) -> None:
    """Every element of the output is right and written, and nothing beside it is."""
    x = within(layer.x) if in_slices else layer.x
    y = guarded(*layer.geometry.size_out, dtype=layer.dtype)
    tile = tile_for(layer, kernel, number)
    run(
        kernel.launches(
            x, layer.w, layer.b, y.slice, layer.geometry,
            relu=layer.relu, precision="ieee", tile=tile,
        )
    )  # fmt: skip
    y.assert_intact()
    y.assert_written()
    terms = layer.geometry.terms + tile.splits
    allowed = rounding(layer.y, layer.dtype, terms=terms, magnitude=layer.magnitude)
    assert_within(y.slice, layer.y, allowed)


@examples(30)
@given(
    layer=layers(),
    name=st.sampled_from(["implicit", "split"]),
    number=st.integers(0, 5),
    in_slices=st.booleans(),
)
@example(GROUPED, "implicit", 0, False)
@example(MANY_CHANNELS, "implicit", 1, True)
@example(MANY_CHANNELS, "split", 1, True)
@example(replace(MANY_CHANNELS, dtype=torch.float16), "implicit", 0, True)
@example(FIRST, "implicit", 0, False)
@example(NO_IMAGES, "implicit", 0, False)
@example(NO_IMAGES, "split", 0, False)
def test_a_convolution_is_what_its_formula_says(
    layer: Layer, name: str, number: int, in_slices: bool
) -> None:
    assert_right(layer, FORWARD[name], number, in_slices=in_slices)


@examples(25)
@given(
    layer=layers(most_channels=packed.MOST_CHANNELS, groups=1),
    number=st.integers(0, 2),
    in_slices=st.booleans(),
)
@example(FIRST, 0, False)
@example(replace(FIRST, dtype=torch.float16), 1, True)
@example(replace(NO_IMAGES, size=(0, 4, 4, 2)), 0, False)
def test_a_first_layer_is_what_its_formula_says(layer: Layer, number: int, in_slices: bool) -> None:
    assume(packed.fits(layer.geometry))
    assert_right(layer, packed, number, in_slices=in_slices)


@interpreter_meets_nan
@pytest.mark.parametrize("name", FORWARD)
def test_nan_and_infinity_go_where_they_belong(name: str) -> None:
    layer = Layer((1, 5, 5, 3), 4, (3, 3), padding=(1, 1, 1, 1), relu=True, dtype=torch.float32)
    layer.x[0, 0, 0, 1] = torch.nan
    layer.x[0, 4, 4, 0] = torch.inf
    y = torch.empty(layer.geometry.size_out, dtype=layer.dtype, device=layer.x.device)
    tile = tile_for(layer, FORWARD[name], 0)
    run(
        FORWARD[name].launches(
            layer.x, layer.w, layer.b, y, layer.geometry, relu=True, precision="ieee", tile=tile
        )
    )
    assert torch.equal(y.isnan().cpu(), layer.y.isnan())
    assert torch.equal(y.isinf().cpu(), layer.y.isinf())
    assert bool(layer.y.isnan().any())
    assert bool(layer.y.isinf().any())


def test_an_fp16_sum_does_not_overflow_on_the_way() -> None:
    layer = Layer((1, 1, 1, 64), 1, dtype=torch.float16, bias=False)
    layer.x.fill_(300)
    layer.w.fill_(300)
    layer.w[..., 1::2] = -300  # 32 times 90,000 up and down: beyond fp16, and back
    y = torch.empty(layer.geometry.size_out, dtype=layer.dtype, device=layer.x.device)
    tile = tile_for(layer, implicit, 0)
    run(
        implicit.launches(
            layer.x, layer.w, None, y, layer.geometry, relu=False, precision="ieee", tile=tile
        )
    )
    assert y.item() == 0


@gpu
@only_on_gpu
def test_tf32_is_rounded_once_a_factor() -> None:
    layer = Layer((2, 9, 9, 70), 40, (3, 3), dtype=torch.float32)
    for tile in implicit.TILES["tf32"]:
        y = torch.empty(layer.geometry.size_out, dtype=layer.dtype, device=layer.x.device)
        run(
            implicit.launches(
                layer.x, layer.w, layer.b, y, layer.geometry,
                relu=False, precision="tf32", tile=tile,
            )
        )  # fmt: skip
        allowed = rounding(
            layer.y,
            layer.dtype,
            terms=layer.geometry.terms,
            magnitude=layer.magnitude,
            precision="tf32",
        )
        assert_within(y, layer.y, allowed)


@gpu
@only_on_gpu
def test_more_than_2_31_elements() -> None:
    """The last image of a batch whose elements int32 cannot count."""
    x = torch.zeros(33, 1024, 1024, 64, dtype=torch.float16, device="cuda")
    x[-1] = normal(1024, 1024, 64, dtype=torch.float16, seed=1)
    w = normal(16, 3, 3, 64, dtype=torch.float16, seed=2)
    y = torch.ops.netspec.conv2d(x, w, None, [1, 1], [1, 1, 1, 1], [1, 1], 1, "ieee")
    alone = torch.ops.netspec.conv2d(x[-1:], w, None, [1, 1], [1, 1, 1, 1], [1, 1], 1, "ieee")
    assert x.numel() > 2**31
    assert torch.equal(y[-1:], alone)
    assert not bool(y[:-1].any())


@gpu
@only_on_gpu
@pytest.mark.parametrize("warps", [4, 8])
def test_8_warps_compute_what_4_do(warps: int) -> None:
    """pytorch#173068: some versions of Triton compile loops over taps wrongly at 8 warps."""
    layer = Layer((2, 20, 20, 128), 130, (3, 3), padding=(1, 1, 1, 1), dtype=torch.float16)
    for tile in implicit.TILES["half"]:
        y = torch.empty(layer.geometry.size_out, dtype=layer.dtype, device=layer.x.device)
        run(
            implicit.launches(
                layer.x, layer.w, layer.b, y, layer.geometry,
                relu=False, precision="ieee", tile=replace(tile, warps=warps),
            )
        )  # fmt: skip
        allowed = rounding(
            layer.y, layer.dtype, terms=layer.geometry.terms, magnitude=layer.magnitude
        )
        assert_within(y, layer.y, allowed)

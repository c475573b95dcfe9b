from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.conv import tiled
from netspec.kernels.conv.geometry import Geometry, checked
from netspec.kernels.conv.tiles import ProductTile, arithmetic
from netspec.kernels.launch import multiprocessors, run
from tests.examples import examples
from tests.kernels.conv.test_persistent import aligned, hopper
from tests.kernels.helpers import DEVICE, DTYPES, assert_within, guarded, normal, rounding, within


def small(dtype: torch.dtype) -> ProductTile:
    """A tile that small maps have several of."""
    return ProductTile(16, 64 if dtype.itemsize < 8 else 16, 16, warps=4, stages=2)


def operands(
    x_size: tuple[int, int, int, int], count: int, kernel: tuple[int, int], dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    x = normal(*x_size, dtype=dtype)
    w = normal(count, *kernel, x_size[3], dtype=dtype, seed=1)
    return x, w, normal(count, dtype=dtype, seed=2)


def assert_convolved(
    y: Tensor, x: Tensor, w: Tensor, b: Tensor | None, geometry: Geometry, *, relu: bool,
    precision: str = "ieee",
) -> None:  # fmt: skip
    top, bottom, left, right = geometry.padding
    image = torch.nn.functional.pad(x.double().permute(0, 3, 1, 2), (left, right, top, bottom))
    filters = w.double().permute(0, 3, 1, 2)

    def convolved(image: Tensor, filters: Tensor, bias: Tensor | None) -> Tensor:
        y = torch.conv2d(image, filters, bias, geometry.stride, dilation=geometry.dilation)
        return y.permute(0, 2, 3, 1)

    bias = None if b is None else b.double()
    exact = convolved(image, filters, bias)
    magnitude = convolved(image.abs(), filters.abs(), None if bias is None else bias.abs())
    exact = exact.relu() if relu else exact
    allowed = rounding(
        exact, y.dtype, terms=geometry.terms, magnitude=magnitude, precision=precision
    )
    assert_within(y, exact, allowed)


@hopper
@examples(40)
@given(
    batch=st.integers(0, 2),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    steps=st.integers(1, 2),
    count=st.integers(1, 9),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(*[st.integers(0, 2)] * 4),
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    has_bias=st.booleans(),
    programs=st.integers(1, 5),
)
@example(1, 1, 1, 1, 1, (1, 1), (1, 1), (1, 0, 0, 1), torch.float16, True, True, 132)
@example(2, 9, 8, 2, 9, (3, 3), (1, 1), (1, 1, 1, 1), torch.float16, False, True, 2)
@example(1, 9, 9, 1, 5, (3, 2), (2, 1), (2, 0, 1, 2), torch.float32, True, False, 1)
@example(0, 4, 4, 1, 1, (3, 3), (1, 1), (1, 1, 1, 1), torch.float64, True, True, 3)
def test_programs_share_the_blocks_and_fill_the_slice(
    batch: int,
    height: int,
    width: int,
    steps: int,
    count: int,
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    dtype: torch.dtype,
    relu: bool,
    has_bias: bool,
    programs: int,
) -> None:
    unit, tile = aligned(dtype), small(dtype)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    height = max(height, reach[0] - padding[0] - padding[1])
    width = max(width, reach[1] - padding[2] - padding[3])
    size = (batch, height, width, tile.depth * steps)
    x, w, bias = operands(size, unit * count, kernel, dtype)
    b = bias if has_bias else None
    geometry = checked(x, w, [1, 1], list(padding), list(dilation), 1)
    y = guarded(*geometry.size_out, dtype=dtype, before=unit, after=2 * unit)
    x_read = within(x, before=2 * unit, after=unit)
    how = {"relu": relu, "precision": "ieee", "tile": tile, "programs": programs}
    run(tiled.launches(x_read, w, b, y.slice, geometry, **how))  # type: ignore[arg-type]
    y.assert_intact()
    y.assert_written()
    assert_convolved(y.slice, x, w, b, geometry, relu=relu)


TILES = [
    (dtype, precision, tile)
    for dtype in DTYPES
    for precision in (("ieee", "tf32") if dtype == torch.float32 else ("ieee",))
    for tile in tiled.TILES[arithmetic(dtype, precision)]
]


@hopper
@pytest.mark.parametrize(("dtype", "precision", "tile"), TILES, ids=str)
def test_every_tile_computes_the_same(
    dtype: torch.dtype, precision: str, tile: ProductTile
) -> None:
    x, w, b = operands((1, 7, 11, 2 * tile.depth), 24, (3, 3), dtype)
    geometry = checked(x, w, [1, 1], [1] * 4, [1, 1], 1)
    y = torch.full(geometry.size_out, torch.nan, dtype=dtype, device=DEVICE)
    how = {"relu": True, "precision": precision, "tile": tile}
    run(tiled.launches(x, w, b, y, geometry, **how))  # type: ignore[arg-type]
    assert_convolved(y, x, w, b, geometry, relu=True, precision=precision)


def geometry_of(channels: int, kernel: int = 3, **changes: object) -> Geometry:
    sizes = {"batch": 1, "height": 14, "width": 14, "count": 64, "padding": (1, 1, 1, 1)}
    return Geometry(channels=channels, kernel=(kernel, kernel), **{**sizes, **changes})  # type: ignore[arg-type]


def test_it_is_a_candidate_where_steps_divide_the_channels() -> None:
    def depths(geometry: Geometry) -> set[int]:
        return {tile.depth for tile in tiled.candidates(geometry, "half")}

    assert depths(geometry_of(128)) == {64, 32}
    assert depths(geometry_of(96)) == {32}
    assert not depths(geometry_of(48))
    assert not depths(geometry_of(128, stride=(2, 2)))
    assert not depths(geometry_of(128, groups=2))
    assert not depths(geometry_of(128, kernel=1, padding=(0, 0, 0, 0)))


def test_what_it_cannot_compute_is_refused() -> None:
    x, w, b = operands((1, 4, 4, 24), 8, (3, 3), torch.float16)
    y = x.new_empty(1, 2, 2, 8)
    geometry = checked(x, w, [1, 1], [0] * 4, [1, 1], 1)
    how = {"relu": True, "precision": "ieee", "tile": small(x.dtype)}
    with pytest.raises(ValueError, match="channels that 16 divides"):
        tiled.launches(x, w, b, y, geometry, **how)  # type: ignore[arg-type]
    x, w, b = operands((1, 4, 4, 16), 7, (3, 3), torch.float16)
    geometry = checked(x, w, [1, 1], [0] * 4, [1, 1], 1)
    with pytest.raises(ValueError, match="begin on 16 bytes"):
        tiled.launches(x, w, b, y[..., :7], geometry, **how)  # type: ignore[arg-type]


def test_the_fewest_and_squarest_blocks_cover_an_image() -> None:
    assert tiled.block_of(128, 56, 56) == (16, 8)
    assert tiled.block_of(256, 14, 14) == (16, 16)
    assert tiled.block_of(128, 7, 7) == (16, 8)
    assert tiled.block_of(128, 1, 500) == (1, 128)
    assert tiled.block_of(512, 1, 500) == (2, 256)


@hopper
def test_there_are_no_more_programs_than_multiprocessors_or_tiles() -> None:
    x, w, b = operands((2, 8, 8, 16), 72, (3, 3), torch.float16)
    geometry = checked(x, w, [1, 1], [1] * 4, [1, 1], 1)
    y = x.new_empty(geometry.size_out)
    how = {"relu": False, "precision": "ieee", "tile": small(x.dtype)}

    def grid(programs: int | None) -> tuple[int, ...]:
        (launch,) = tiled.launches(x, w, b, y, geometry, programs=programs, **how)  # type: ignore[arg-type]
        return launch.grid

    assert grid(3) == (3,)
    assert grid(1000) == (16,)  # 4 blocks in each of 2 images, twice 64 filters
    assert grid(None) == (min(16, multiprocessors(x.device)),)

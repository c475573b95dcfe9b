from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.conv import persistent
from netspec.kernels.conv.geometry import Geometry, checked
from netspec.kernels.conv.tiles import ProductTile, arithmetic
from netspec.kernels.launch import multiprocessors, run
from tests.examples import examples
from tests.kernels import helpers
from tests.kernels.conv.test_pointwise import assert_close, operands
from tests.kernels.helpers import DEVICE, DTYPES, guarded, normal, within

hopper = pytest.mark.skipif(
    helpers.ON_GPU and torch.cuda.get_device_capability() < (9, 0),
    reason="needs tensor descriptors: a GPU of capability 9.0",
)


def small(dtype: torch.dtype) -> ProductTile:
    """A tile that small maps have several of."""
    return ProductTile(64 if dtype.itemsize < 8 else 16, 16, 16, warps=4, stages=2)


def geometry_of(x: Tensor, w: Tensor) -> Geometry:
    return checked(x, w, [1, 1], [0, 0, 0, 0], [1, 1], 1)


def aligned(dtype: torch.dtype) -> int:
    """Elements in 16 bytes."""
    return 16 // dtype.itemsize


@hopper
@examples(40)
@given(
    batch=st.integers(0, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.integers(1, 6),
    count=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    has_bias=st.booleans(),
    is_slice=st.booleans(),
    programs=st.integers(1, 5),
)
@example(1, 1, 1, 1, 1, torch.float32, True, True, False, 132)
@example(2, 9, 8, 37, 5, torch.float16, False, True, True, 2)
@example(3, 9, 9, 4, 9, torch.float64, True, True, True, 1)
@example(0, 4, 4, 1, 1, torch.float16, True, True, False, 3)
def test_programs_share_the_tiles_and_fill_the_slice(
    batch: int,
    height: int,
    width: int,
    channels: int,
    count: int,
    dtype: torch.dtype,
    relu: bool,
    has_bias: bool,
    is_slice: bool,
    programs: int,
) -> None:
    unit = aligned(dtype)
    x, w, bias = operands(batch, height, width, unit * channels, unit * count, dtype)
    b = bias if has_bias else None
    memory = guarded(batch, height, width, unit * count, dtype=dtype, before=unit, after=2 * unit)
    x_read = within(x, before=2 * unit, after=unit) if is_slice else x
    assert persistent.fits(x_read, w, memory.slice)
    run(
        persistent.launches(
            x_read,
            w,
            b,
            memory.slice,
            geometry_of(x, w),
            relu=relu,
            precision="ieee",
            tile=small(dtype),
            programs=programs,
        )
    )
    memory.assert_intact()
    memory.assert_written()
    assert_close([memory.slice], x, w, b, relu=relu, precision="ieee")


TILES = [
    (dtype, precision, tile)
    for dtype in DTYPES
    for precision in (("ieee", "tf32") if dtype == torch.float32 else ("ieee",))
    for tile in persistent.TILES[arithmetic(dtype, precision)]
]


@hopper
@pytest.mark.parametrize(("dtype", "precision", "tile"), TILES, ids=str)
def test_every_tile_computes_the_same(
    dtype: torch.dtype, precision: str, tile: ProductTile
) -> None:
    x, w, b = operands(1, 10, 10, 40, 72, dtype)
    y = torch.full((1, 10, 10, 72), torch.nan, dtype=dtype, device=DEVICE)
    run(
        persistent.launches(
            x, w, b, y, geometry_of(x, w), relu=True, precision=precision, tile=tile
        )
    )
    assert_close([y], x, w, b, relu=True, precision=precision)


@hopper
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_aligned_does_not_fit(dtype: torch.dtype) -> None:
    unit = aligned(dtype)
    size = (2, 3, 3)
    x, w, b = operands(*size, 2 * unit, unit, dtype)
    y = x.new_empty(*size, unit)
    assert persistent.fits(x, w, y)
    begins_between = within(x, before=1, after=unit - 1)
    lies_between = within(x, before=unit, after=1)
    short = normal(*size, 2 * unit - 1, dtype=dtype)
    is_part = x.new_empty(*size, 2 * unit)[..., : unit - 1]
    for operands_ in (
        (begins_between, w, y),
        (lies_between, w, y),
        (short, normal(unit, 1, 1, 2 * unit - 1, dtype=dtype), y),
        (x, w, within(y, before=1, after=unit - 1)),
        (x, w, within(y, before=0, after=1)),
        (x, normal(1 + 2 * unit, dtype=dtype)[1:].reshape(1, 1, 1, -1), y),
        (x, w[:-1], is_part),
    ):
        assert not persistent.fits(*operands_)
        with pytest.raises(ValueError, match="begin on 16 bytes"):
            _launches(*operands_, b)


def _launches(x: Tensor, w: Tensor, y: Tensor, b: Tensor) -> None:
    tile = small(x.dtype)
    persistent.launches(x, w, b, y, geometry_of(x, w), relu=False, precision="ieee", tile=tile)


def test_other_layouts_are_refused() -> None:
    x, w, _ = operands(1, 4, 4, 8, 8, torch.float16)
    with pytest.raises(ValueError, match="y must be channels-last"):
        persistent.fits(x, w, x.new_empty(1, 8, 4, 4).permute(0, 2, 3, 1))


def test_there_are_no_more_programs_than_multiprocessors_or_tiles() -> None:
    x, w, b = operands(2, 10, 10, 8, 32, torch.float16)
    y = x.new_empty(2, 10, 10, 32)
    tile = ProductTile(64, 16, 16, warps=4, stages=2)

    def grid(programs: int | None) -> tuple[int, ...]:
        (launch,) = persistent.launches(
            x,
            w,
            b,
            y,
            geometry_of(x, w),
            relu=False,
            precision="ieee",
            tile=tile,
            programs=programs,
        )
        return launch.grid

    assert grid(3) == (3,)
    assert grid(1000) == (8,)
    assert grid(None) == (min(8, multiprocessors(x.device)),)


@helpers.gpu
@helpers.only_on_gpu
@hopper
def test_offsets_beyond_31_bits() -> None:
    pixels, channels = 2**20, 2**11 + 8
    x = torch.zeros(1, 2, pixels // 2, channels, dtype=torch.float16, device=DEVICE)
    x[0, 1, -1] = 1
    w = torch.ones(16, 1, 1, channels, dtype=torch.float16, device=DEVICE)
    y = torch.full((1, 2, pixels // 2, 16), torch.nan, dtype=torch.float16, device=DEVICE)
    tile = persistent.TILES["half"][0]
    run(
        persistent.launches(
            x, w, None, y, geometry_of(x, w), relu=False, precision="ieee", tile=tile
        )
    )
    assert y[0, 1, -1].eq(channels).all()
    assert y[0, 1, :-1].eq(0).all()

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.conv import narrow
from netspec.kernels.conv.configurations import Configuration, candidates
from netspec.kernels.conv.geometry import Geometry, checked
from netspec.kernels.conv.tiles import ProductTile, arithmetic
from netspec.kernels.launch import multiprocessors, run
from tests.examples import examples
from tests.kernels.conv.test_persistent import aligned, hopper
from tests.kernels.conv.test_tiled import assert_convolved, operands, small
from tests.kernels.helpers import DEVICE, DTYPES, guarded, within


@hopper
@examples(40)
@given(
    batch=st.integers(0, 2),
    height=st.integers(1, 9),
    width=st.integers(1, 12),
    channels=st.integers(1, 4),
    count=st.integers(1, 9),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 6)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    padding=st.tuples(*[st.integers(0, 2)] * 4),
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    has_bias=st.booleans(),
    programs=st.integers(1, 5),
)
@example(1, 1, 1, 1, 1, (1, 1), (1, 1), 1, (0,) * 4, torch.float16, True, True, 132)
@example(2, 9, 12, 3, 9, (3, 6), (1, 1), 1, (1, 1, 2, 2), torch.float16, True, True, 2)
@example(1, 9, 11, 3, 2, (3, 5), (2, 2), 1, (0, 1, 0, 1), torch.float32, False, False, 1)
@example(1, 9, 11, 4, 2, (2, 3), (3, 3), 2, (1, 0, 2, 0), torch.float16, False, True, 3)
@example(0, 4, 4, 3, 1, (3, 3), (1, 1), 1, (1, 1, 1, 1), torch.float64, True, True, 3)
def test_programs_share_the_blocks_and_fill_the_slice(
    batch: int,
    height: int,
    width: int,
    channels: int,
    count: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: int,
    padding: tuple[int, int, int, int],
    dtype: torch.dtype,
    relu: bool,
    has_bias: bool,
    programs: int,
) -> None:
    unit = aligned(dtype)
    height = max(height, dilation * (kernel[0] - 1) + 1 - padding[0] - padding[1])
    width = max(width, kernel[1] - padding[2] - padding[3])
    x, w, bias = operands((batch, height, width, channels), unit * count, kernel, dtype)
    b = bias if has_bias else None
    geometry = checked(x, w, [*stride], [*padding], [dilation, 1], 1)
    y = guarded(*geometry.size_out, dtype=dtype, before=unit, after=2 * unit)
    x_read = within(x, before=1, after=2)
    how = {"relu": relu, "precision": "ieee", "tile": small(dtype), "programs": programs}
    run(narrow.launches(x_read, w, b, y.slice, geometry, **how))  # type: ignore[arg-type]
    y.assert_intact()
    y.assert_written()
    assert_convolved(y.slice, x, w, b, geometry, relu=relu)


TILES = [
    (dtype, precision, tile)
    for dtype in DTYPES
    for precision in (("ieee", "tf32") if dtype == torch.float32 else ("ieee",))
    for tile in narrow.TILES[arithmetic(dtype, precision)]
]


@hopper
@pytest.mark.parametrize(("dtype", "precision", "tile"), TILES, ids=str)
def test_every_tile_computes_the_same(
    dtype: torch.dtype, precision: str, tile: ProductTile
) -> None:
    x, w, b = operands((1, 23, 31, 3), 24, (5, 11), dtype)
    geometry = checked(x, w, [4, 4], [2] * 4, [1, 1], 1)
    y = torch.full(geometry.size_out, torch.nan, dtype=dtype, device=DEVICE)
    how = {"relu": True, "precision": precision, "tile": tile}
    run(narrow.launches(x, w, b, y, geometry, **how))  # type: ignore[arg-type]
    assert_convolved(y, x, w, b, geometry, relu=True, precision=precision)


@hopper
@pytest.mark.filterwarnings("ignore:invalid value")  # NumPy: infinity times the zeros of no filter
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_stays_in_the_windows_that_have_it(value: float) -> None:
    x, w, b = operands((1, 9, 12, 3), 8, (3, 5), torch.float32)
    geometry = checked(x, w, [1, 1], [1] * 4, [1, 1], 1)

    def convolved(x: Tensor) -> Tensor:
        y = x.new_empty(geometry.size_out)
        how = {"relu": False, "precision": "ieee", "tile": small(x.dtype)}
        run(narrow.launches(x, w, b, y, geometry, **how))  # type: ignore[arg-type]
        return y

    before = convolved(x)
    x[0, 4, 6, 1] = value
    after = convolved(x)
    is_reached = torch.zeros(before.shape[:3], dtype=torch.bool)
    is_reached[:, 3:6, 3:8] = True  # rows 4 + 1 - 2..4 + 1, columns 6 + 1 - 4..6 + 1
    assert torch.equal(after[~is_reached], before[~is_reached])
    assert not after[is_reached].isfinite().any()


def geometry_of(channels: int = 3, kernel: int = 11, **changes: object) -> Geometry:
    sizes = {"batch": 1, "height": 24, "width": 24, "count": 64, "stride": (4, 4)}
    return Geometry(channels=channels, kernel=(kernel, kernel), **{**sizes, **changes})  # type: ignore[arg-type]


def test_it_is_a_candidate_of_few_channels_with_the_tiles_that_waste_least() -> None:
    def depths(geometry: Geometry, kind: str = "half") -> set[int]:
        return {tile.depth for tile in narrow.candidates(geometry, kind)}

    assert depths(geometry_of()) == {32, 64}  # 44 values
    assert depths(geometry_of(kernel=7)) == {32}  # 28 values
    assert depths(geometry_of(kernel=3, stride=(1, 1))) == {32}  # 24 values, 8 channels a pixel
    assert depths(geometry_of(kernel=5, stride=(1, 1))) == {32, 64}  # 40 values
    assert depths(geometry_of(kernel=5, stride=(1, 1)), "ieee") == {16}
    assert not depths(geometry_of(channels=5))
    assert not depths(geometry_of(channels=4, groups=2))
    assert not depths(geometry_of(dilation=(1, 2)))
    assert depths(geometry_of(dilation=(2, 1)))


def test_only_devices_with_descriptors_have_the_candidate_and_need_whole_pixels_of_the_result() -> (
    None
):
    def kernels(count: int, has_descriptors: bool) -> set[str]:
        found = candidates(
            geometry_of(count=count), torch.float16, "ieee", has_descriptors=has_descriptors
        )
        return {configuration.kernel for configuration in found}

    assert "narrow" in kernels(64, True)
    assert "narrow" not in kernels(60, True)
    assert "narrow" not in kernels(64, False)


@hopper
def test_it_fits_where_the_result_begins_on_16_bytes_whatever_the_images() -> None:
    x, w, _ = operands((1, 9, 9, 3), 16, (3, 3), torch.float16)
    configuration = Configuration("narrow", narrow.TILES["half"][-1])
    y = x.new_empty(1, 7, 7, 16)
    assert configuration.fits(x, w, y)
    assert configuration.fits(x, w[:8], y[..., 8:])
    assert not configuration.fits(x, w[:8], y[..., 4:12])


def test_what_it_cannot_compute_is_refused() -> None:
    x, w, b = operands((1, 9, 9, 3), 8, (3, 3), torch.float16)
    how = {"relu": True, "precision": "ieee", "tile": small(x.dtype)}
    y = x.new_empty(1, 5, 5, 8)
    geometry = checked(x, w, [1, 1], [0] * 4, [1, 2], 1)
    with pytest.raises(ValueError, match="no dilation of columns"):
        narrow.launches(x, w, b, y, geometry, **how)  # type: ignore[arg-type]
    geometry = checked(x, w[:7], [1, 1], [0] * 4, [1, 1], 1)
    with pytest.raises(ValueError, match="begin on 16 bytes"):
        narrow.launches(x, w[:7], b, x.new_empty(1, 7, 7, 7), geometry, **how)  # type: ignore[arg-type]


@hopper
def test_there_are_no_more_programs_than_multiprocessors_or_tiles() -> None:
    x, w, b = operands((2, 9, 9, 3), 72, (3, 3), torch.float16)
    geometry = checked(x, w, [1, 1], [1] * 4, [1, 1], 1)
    y = x.new_empty(geometry.size_out)
    how = {"relu": False, "precision": "ieee", "tile": small(x.dtype)}

    def grid(programs: int | None) -> tuple[int, ...]:
        *_, launch = narrow.launches(x, w, b, y, geometry, programs=programs, **how)  # type: ignore[arg-type]
        return launch.grid

    assert grid(3) == (3,)
    assert grid(1000) == (36,)  # 9 blocks of 4x4 in each of 2 images, twice 64 filters
    assert grid(None) == (min(36, multiprocessors(x.device)),)

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.launch import run
from netspec.kernels.lrn import pooled as kernels
from netspec.kernels.lrn.operators import lrn_maxpool, lrn_maxpool_out
from netspec.kernels.windows import Windows, windows_over
from tests.examples import examples
from tests.kernels import helpers
from tests.kernels.lrn.norms import SLICES, Norm, exact, terms_of_power


@dataclass(frozen=True)
class Pool:
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    def size_out(self, height: int, width: int) -> tuple[int, int]:
        top, bottom, left, right = self.padding
        return (
            (height + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (width + left + right - self.kernel[1]) // self.stride[1] + 1,
        )

    def windows(self, x: Tensor) -> Windows:
        return windows_over(x.shape, self.kernel, self.stride, self.padding)


OVERLAPPING = Pool((3, 3), (2, 2), (0, 0, 0, 0))


@dataclass(frozen=True)
class Case:
    size: tuple[int, int, int]
    part: int
    pool: Pool = OVERLAPPING
    norm: Norm = Norm()
    dtype: torch.dtype = torch.float32
    seed: int = 0

    @property
    def channels(self) -> int:
        return self.part * self.norm.groups

    def normal(self) -> Tensor:
        return helpers.normal(*self.size, self.channels, dtype=self.dtype, seed=self.seed)

    @property
    def size_out(self) -> tuple[int, int, int]:
        return (self.size[0], *self.pool.size_out(*self.size[1:]))


def attributes(
    norm: Norm, pool: Pool
) -> tuple[int, float, float, float, int, list[int], list[int], list[int]]:
    return (*norm.attributes, list(pool.kernel), list(pool.stride), list(pool.padding))


def pooled(b: Tensor, pool: Pool) -> Tensor:
    """Maxima over windows, window by window."""
    batch, height, width, channels = b.shape
    height_out, width_out = pool.size_out(height, width)
    top, _, left, _ = pool.padding
    y = b.new_full((batch, height_out, width_out, channels), -torch.inf)
    for h in range(height_out):
        for w in range(width_out):
            first_h, first_w = h * pool.stride[0] - top, w * pool.stride[1] - left
            rows = slice(max(0, first_h), max(0, first_h + pool.kernel[0]))
            columns = slice(max(0, first_w), max(0, first_w + pool.kernel[1]))
            window = b[:, rows, columns]
            if window.shape[1] and window.shape[2]:
                y[:, h, w] = window.amax((1, 2))
    return y


def assert_right(y: Tensor, x: Tensor, norm: Norm, pool: Pool) -> None:
    """A maximum is off by no more than what it is taken from; for beta = 0.75 that is a square's
    root, which is off by half of what the square is off by, and by its own rounding of 2 u.

    Squares below the smallest normal number are flushed, so values below its root are too.
    """
    b = exact(x, norm)
    expected = pooled(b, pool)
    kind = torch.float64 if x.dtype == torch.float64 else torch.float32
    terms = terms_of_power(x, norm, norm.beta) + 3
    magnitude = expected.nan_to_num(0, 0, 0).abs()
    allowed = helpers.rounding(magnitude, x.dtype, terms=terms, magnitude=magnitude)
    helpers.assert_within(y, expected, allowed + 2 * torch.finfo(kind).tiny ** 0.5)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    steps = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(st.one_of(steps, steps, st.tuples(st.integers(1, 5), st.integers(1, 5))))
    stride = draw(st.one_of(steps, st.just((2, 2)), st.tuples(st.integers(1, 6), st.just(5))))
    vertical = st.integers(0, kernel[0] + 1)
    horizontal = st.integers(0, kernel[1] + 1)
    pool = Pool(kernel, stride, draw(st.tuples(vertical, vertical, horizontal, horizontal)))
    size = draw(st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 7)))
    assume(min(pool.size_out(*size[1:])) >= 1)
    return Case(
        size=size,
        part=draw(st.one_of(st.integers(1, 40), st.sampled_from([8, 16, 24, 48, 132]))),
        pool=pool,
        norm=Norm(
            n=draw(st.sampled_from([1, 3, 5, 5, 7, 9, 17])),
            k=draw(st.sampled_from([1.0, 2.0])),
            alpha=draw(st.sampled_from([1e-4, 0.5, 1.7])),
            beta=draw(st.sampled_from([0.75, 0.75, 0.75, 0.5, 1.0, 0.6])),
            groups=draw(st.integers(1, 2)),
        ),
        dtype=draw(st.sampled_from(helpers.DTYPES)),
        seed=draw(st.integers(0, 999)),
    )


def padded(*padding: int) -> Pool:
    top, bottom, left, right = padding
    return replace(OVERLAPPING, padding=(top, bottom, left, right))


ODD = [
    (Case((0, 5, 5), 16), (0, 0), (0, 0)),
    (Case((2, 3, 3), 1), (2, 3), (3, 5)),
    (Case((1, 9, 7), 8, padded(0, 1, 0, 1), Norm(groups=2)), (3, 5), (3, 5)),
    (Case((2, 7, 5), 8, padded(1, 1, 1, 1)), (0, 0), (8, 16)),
    (Case((1, 1, 1), 8, padded(3, 4, 3, 4)), (3, 5), (0, 0)),
    (Case((1, 9, 9), 8, Pool((2, 2), (3, 3), (0, 0, 0, 0))), (0, 0), (0, 0)),
    (Case((1, 6, 6), 8, Pool((3, 3), (1, 1), (1, 1, 1, 1))), (0, 0), (0, 0)),
    (Case((1, 7, 7), 8, Pool((3, 2), (2, 3), (0, 0, 0, 0)), dtype=torch.float16), (0, 0), (0, 0)),
    (Case((1, 7, 7), 8, Pool((5, 5), (2, 2), (4, 4, 4, 4))), (0, 0), (0, 0)),
]


@examples(10)
@given(cases(), st.sampled_from(SLICES), st.sampled_from(SLICES))
def test_any(case: Case, read: tuple[int, int], written: tuple[int, int]) -> None:
    check(case, read, written)


@pytest.mark.parametrize(("case", "read", "written"), ODD)
def test_odd(case: Case, read: tuple[int, int], written: tuple[int, int]) -> None:
    check(case, read, written)


def check(case: Case, read: tuple[int, int], written: tuple[int, int]) -> None:
    x = case.normal()
    y = helpers.guarded(
        *case.size_out, case.channels, dtype=case.dtype, before=written[0], after=written[1]
    )
    lrn_maxpool_out(helpers.within(x, *read), y.slice, *attributes(case.norm, case.pool))
    y.assert_written()
    y.assert_intact()
    assert_right(y.slice, x, case.norm, case.pool)


@pytest.mark.parametrize("rows", [3, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "pool",
    [
        OVERLAPPING,
        Pool((3, 3), (3, 3), (1, 1, 1, 1)),
        Pool((2, 3), (1, 1), (0, 0, 0, 0)),
        Pool((3, 1), (1, 1), (1, 1, 0, 0)),
    ],
)
def test_strips_of_any_height(rows: int, pool: Pool) -> None:
    """Maps as small as those above are cut into strips of one row."""
    x = helpers.normal(1, 15, 5, 8, dtype=torch.float32)
    y = torch.full((1, *pool.size_out(15, 5), 8), torch.nan, device=helpers.DEVICE)
    (launch,) = kernels.launches(x, y, *Norm().attributes, pool.windows(x))
    assert launch.kernel.__name__ == "walked"
    strips = -(-y.shape[1] // rows)
    programs = launch.grid[0] // -(-y.shape[1] // int(launch.arguments["rows"])) * strips
    replace(launch, grid=(programs,), arguments={**launch.arguments, "rows": rows})()
    assert_right(y, x, Norm(), pool)


def test_strips_leave_the_gpu_enough_programs() -> None:
    assert kernels.rows_of(27, 256 * 14 * 12) == 8
    assert kernels.rows_of(3, 10**6) == 3
    assert kernels.rows_of(27, 1) == 1
    assert 1 < kernels.rows_of(27, 32 * 14 * 12) < 8


def test_the_functional_form_and_the_one_that_writes_agree() -> None:
    x = helpers.normal(2, 7, 6, 16, dtype=torch.float32)
    y = torch.full((2, 3, 2, 16), torch.nan, device=helpers.DEVICE)
    lrn_maxpool_out(x, y, *attributes(Norm(), OVERLAPPING))
    assert torch.equal(lrn_maxpool(x, *attributes(Norm(), OVERLAPPING)), y)


@pytest.mark.parametrize("channels", [16, 13])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_large_and_tiny_values_of_float16(channels: int, beta: float) -> None:
    norm = Norm(alpha=1e-4, beta=beta)
    for factor in (1e4, 1e-6):
        x = helpers.normal(1, 5, 5, channels, dtype=torch.float16) * factor
        assert_right(lrn_maxpool(x, *attributes(norm, OVERLAPPING)), x, norm, OVERLAPPING)


@pytest.mark.parametrize("channels", [16, 13])
def test_negative_values_and_zeros_keep_their_order(channels: int) -> None:
    x = -helpers.normal(1, 5, 5, channels, dtype=torch.float32).abs()
    x[0, :3, :3, 4] = 0
    assert_right(lrn_maxpool(x, *attributes(Norm(), OVERLAPPING)), x, Norm(), OVERLAPPING)


@pytest.mark.parametrize("channels", [16, 13])
@pytest.mark.parametrize("beta", [0.75, 0.6])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, in the interpreter
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_nan_wins_and_stays_in_its_windows(channels: int, beta: float) -> None:
    x = helpers.normal(1, 7, 7, channels, dtype=torch.float32)
    x[0, 2, 2, 5] = torch.nan
    x[0, 6, 6, 8] = torch.inf
    x[0, 6, 0, 8] = -torch.inf
    norm = Norm(n=3, beta=beta)
    assert_right(lrn_maxpool(x, *attributes(norm, OVERLAPPING)), x, norm, OVERLAPPING)


SAMPLES = [
    ((1, 3, 3, 8), Norm(), OVERLAPPING),
    ((1, 2, 3, 8), Norm(n=3, groups=2), padded(0, 1, 0, 0)),
    ((1, 4, 4, 7), Norm(n=5, beta=0.6), Pool((2, 2), (2, 2), (1, 1, 0, 0))),
]


@pytest.mark.parametrize(("size", "norm", "pool"), SAMPLES)
def test_operators_are_registered_in_full(size: tuple[int, ...], norm: Norm, pool: Pool) -> None:
    x = helpers.normal(*size)
    y = lrn_maxpool(x, *attributes(norm, pool))
    torch.library.opcheck(lrn_maxpool, (helpers.within(x), *attributes(norm, pool)))
    torch.library.opcheck(lrn_maxpool_out, (x, torch.zeros_like(y), *attributes(norm, pool)))


def test_which_shapes_are_walked() -> None:
    x = torch.empty(1, 5, 5, 96, dtype=torch.float16, device="meta")
    y = torch.empty(1, 2, 2, 96, dtype=torch.float16, device="meta")
    large = Pool((4, 4), (2, 2), (0, 0, 0, 0))
    assert kernels.is_walked(OVERLAPPING.windows(x), 2, 48, x, y)
    assert not kernels.is_walked(OVERLAPPING.windows(x), 2, 12, x, y)
    assert not kernels.is_walked(large.windows(x), 2, 48, x, y)
    assert {launch.kernel.__name__ for _, launch in kernels.shipped(torch.float16)} == {"walked"}
    overlaps = [((3, 3), (2, 2)), ((2, 2), (2, 2)), ((2, 2), (3, 3)), ((3, 3), (1, 1))]
    windows = [windows_over(x.shape, *window, (0, 0, 0, 0)) for window in overlaps]
    assert [kernels.overlap_of(one) for one in windows] == [1, 0, 0, 0]


X = torch.zeros(2, 5, 5, 8, device=helpers.DEVICE)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "words"),
    [
        ([3], [2, 2], [0, 0, 0, 0], "kernel must be 2 integers"),
        ([3, 3], [2, 2], [0, 0], "padding must be 4 integers"),
        ([0, 3], [2, 2], [0, 0, 0, 0], "at least 1"),
        ([3, 3], [2, 0], [0, 0, 0, 0], "at least 1"),
        ([3, 3], [2, 2], [0, 0, 0, -1], "at least 0"),
        ([6, 3], [2, 2], [0, 0, 0, 0], "does not fit into a height of 5"),
    ],
)
def test_windows_that_are_refused(
    kernel: list[int], stride: list[int], padding: list[int], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        lrn_maxpool(X, *Norm().attributes, kernel, stride, padding)
    with pytest.raises(ValueError, match=words):
        lrn_maxpool_out(X, X[:, :2, :2].contiguous(), *Norm().attributes, kernel, stride, padding)


def test_tensors_that_are_refused() -> None:
    good = attributes(Norm(), OVERLAPPING)
    y = torch.zeros(2, 2, 2, 8, device=helpers.DEVICE)
    with pytest.raises(ValueError, match="x must be channels-last"):
        lrn_maxpool(X.permute(0, 3, 1, 2), *good)
    with pytest.raises(ValueError, match=r"y must be \[2, 2, 2, 8\]"):
        lrn_maxpool_out(X, X.clone(), *good)
    with pytest.raises(ValueError, match="y must be channels-last"):
        lrn_maxpool_out(X, y.permute(0, 3, 1, 2), *good)
    with pytest.raises(TypeError, match=r"y is torch\.float64"):
        lrn_maxpool_out(X, y.double(), *good)
    with pytest.raises(ValueError, match="n must be odd"):
        lrn_maxpool(X, *attributes(Norm(n=2), OVERLAPPING))


@helpers.gpu
@helpers.only_on_gpu
@pytest.mark.parametrize("channels", [192, 97])
def test_more_than_2_31_elements(channels: int) -> None:
    height = 2**31 // (3 * channels) + 12345
    x = torch.zeros(1, height // 2 * 2 + 1, 3, channels, dtype=torch.float16, device="cuda")
    x[0, -5:] = helpers.normal(5, 3, channels, dtype=torch.float16)
    y = lrn_maxpool(x, *attributes(Norm(), OVERLAPPING))
    assert not y[0, :-3].any()
    assert_right(y[:, -2:], x[:, -5:], Norm(), OVERLAPPING)


@helpers.gpu
@helpers.only_on_gpu
@pytest.mark.parametrize("channels", [96, 97])
def test_8_warps(channels: int) -> None:
    x = helpers.normal(2, 9, 9, channels, dtype=torch.float16)
    y = x.new_full((2, 4, 4, channels), torch.nan)
    launches = kernels.launches(x, y, *Norm().attributes, OVERLAPPING.windows(x))
    run(replace(launch, warps=8) for launch in launches)
    assert_right(y, x, Norm(), OVERLAPPING)

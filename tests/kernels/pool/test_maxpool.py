from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.pool import max_gradients
from netspec.kernels.pool import maxima as kernels
from netspec.kernels.pool.geometry import checked
from netspec.kernels.pool.operators import maxpool as ops
from tests.examples import examples
from tests.kernels.helpers import (
    DEVICE,
    DTYPES,
    assert_within,
    gpu,
    guarded,
    normal,
    only_on_gpu,
    rounding,
    within,
)
from tests.kernels.pool.pools import Pool, pools

OVERLAPPING = Pool((2, 9, 7, 5), (3, 3), (2, 2))
SAME = Pool((1, 5, 6, 16), (3, 3), (1, 1), (1, 1, 1, 1))
ODD = (
    Pool((0, 4, 4, 3), (2, 2)),
    Pool((1, 1, 1, 1), (1, 1), (1, 1)),
    Pool((2, 5, 4, 300), (3, 3), (2, 2), (1, 1, 1, 0)),
    Pool((1, 2, 2, 3), (5, 5), (6, 6), (4, 4, 4, 4)),  # one window, whose last tap is the first
    Pool((1, 9, 9, 2), (2, 3), (4, 5), (1, 0, 2, 2)),  # pixels that no window sees
    Pool((1, 9, 9, 2), (9, 8), (1, 1)),  # beyond what is unrolled
    Pool((1, 4, 9, 3), (3, 7), (4, 4), (2, 2, 6, 6)),
    Pool((1, 7, 3, 2), (6, 1), (5, 1), (5, 3, 0, 0)),
    Pool((2, 8, 8, 64)),  # tiles that are full to the last
)


def maxima(x: Tensor, pool: Pool) -> tuple[Tensor, Tensor]:
    """The definition, window by window and tap by tap: maxima, and their places."""
    y = torch.empty(pool.size_out, dtype=x.dtype, device=x.device)
    places = torch.empty(pool.size_out, dtype=torch.int64, device=x.device)
    for i, j, taps in pool.windows():
        best = torch.full_like(x[:, 0, 0], -torch.inf)
        place = torch.full_like(best, taps[0][0], dtype=torch.int64)
        for at, h, w in taps:
            is_taken = (x[:, h, w] > best) | x[:, h, w].isnan()
            best = torch.where(is_taken, x[:, h, w], best)
            place = torch.where(is_taken, at, place)
        y[:, i, j], places[:, i, j] = best, place
    return y, places


def gradients(dy: Tensor, places: Tensor, pool: Pool) -> Tensor:
    """Each dy added, in float64, where its place lies; 255 lies nowhere."""
    dx = torch.zeros(pool.size, dtype=torch.float64, device=dy.device)
    for i, j, taps in pool.windows():
        for at, h, w in taps:
            dx[:, h, w] += torch.where(places[:, i, j] == at, dy[:, i, j].double(), 0.0)
    return dx


def is_same(y: Tensor, exact: Tensor) -> bool:
    """Equal everywhere, and NaN where it is NaN."""
    return y.shape == exact.shape and bool(((y == exact) | (y.isnan() & exact.isnan())).all())


def special(pool: Pool, dtype: torch.dtype, seed: int) -> Tensor:
    """Ties of many kinds, signed zeros, infinities and NaN."""
    values = torch.tensor(
        [0.0, -0.0, 1.0, 1.0, -1.0, -2.0, torch.inf, -torch.inf, torch.nan], dtype=dtype
    )
    generator = torch.Generator().manual_seed(seed)
    return values[torch.randint(len(values), pool.size, generator=generator)].to(DEVICE)


def with_odd(test: Callable[..., None]) -> Callable[..., None]:
    for pool in ODD:
        test = example(pool=pool, dtype=torch.float32, seed=0)(test)
    return test


class TestForward:
    @with_odd
    @example(pool=SAME, dtype=torch.float16, seed=0)
    @given(pool=pools(), dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
    @examples(25)
    def test_maxima_and_places(self, pool: Pool, dtype: torch.dtype, seed: int) -> None:
        x = special(pool, dtype, seed) if seed % 2 else pool.x(dtype, seed)
        exact, places = maxima(x, pool)
        assert is_same(ops.max_pool(x, *pool.window), exact)
        y, index = ops.maxpool_with_index(x, *pool.window)
        assert is_same(y, exact)
        assert torch.equal(index.long(), places)

    @with_odd
    @given(pool=pools(), dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
    @examples(8)
    def test_relu(self, pool: Pool, dtype: torch.dtype, seed: int) -> None:
        x = special(pool, dtype, seed) if seed % 2 else pool.x(dtype, seed) - 1
        exact, places = maxima(x, pool)
        y, index = ops.maxpool_relu_with_index(x, *pool.window)
        assert is_same(y, exact.relu())
        assert torch.equal(index.long(), torch.where(exact <= 0, 255, places))
        assert is_same(ops.max_pool_relu(x, *pool.window), exact.relu())

    @given(pool=pools(), dtype=st.sampled_from(DTYPES), relu=st.booleans())
    @example(pool=OVERLAPPING, dtype=torch.float16, relu=True)
    @examples(10)
    def test_slices_in_and_out(self, pool: Pool, dtype: torch.dtype, relu: bool) -> None:
        x = pool.x(dtype)
        y = guarded(*pool.size_out, dtype=dtype)
        (ops.maxpool_relu_out if relu else ops.maxpool_out)(within(x), y.slice, *pool.window)
        y.assert_intact()
        y.assert_written()
        exact = maxima(x, pool)[0]
        assert torch.equal(y.slice, exact.relu() if relu else exact)

    def test_all_minus_infinity_takes_the_first_tap_on_the_map(self) -> None:
        x = torch.full(SAME.size, -torch.inf, device=DEVICE)
        y, index = ops.maxpool_with_index(x, *SAME.window)
        assert is_same(y, x)
        assert torch.equal(index.long(), maxima(x, SAME)[1])

    def test_a_window_of_255_taps_but_not_of_256(self) -> None:
        x = normal(1, 17, 16, 1, dtype=torch.float32)
        x[0, 16, 14] = 99
        window = [17, 15], [1, 1], [0, 0, 0, 0]
        y, index = ops.maxpool_with_index(x, *window)
        assert y.flatten().tolist() == [99, 99]
        assert index.flatten().tolist() == [254, 253]
        with pytest.raises(ValueError, match="has 255 taps, but training supports at most 254"):
            ops.maxpool_relu_with_index(x, *window)
        window = [16, 16], [1, 1], [0, 0, 0, 0]
        with pytest.raises(ValueError, match="use a smaller kernel, or inference only"):
            ops.max_pool(x.requires_grad_(), *window)
        y = ops.max_pool(x.detach(), *window)
        assert torch.equal(y, maxima(x.detach(), Pool((1, 17, 16, 1), (16, 16), (1, 1)))[0])


class TestBackward:
    @with_odd
    @example(pool=SAME, dtype=torch.float16, seed=0)
    @given(pool=pools(), dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
    @examples(25)
    def test_gradient(self, pool: Pool, dtype: torch.dtype, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        taps = pool.kernel[0] * pool.kernel[1]
        places = torch.randint(taps + 1, pool.size_out, generator=generator).to(DEVICE)
        places[places == taps] = 255
        dy = pool.dy(dtype, seed)
        exact = gradients(dy, places, pool)
        magnitude = gradients(dy.abs(), places, pool)
        dx = ops.maxpool_backward(within(dy), places.to(torch.uint8), *pool.size[1:3], *pool.window)
        allowed = rounding(exact, dtype, terms=pool.covering, magnitude=magnitude)
        assert_within(dx, exact, allowed)

    @pytest.mark.parametrize("relu", [False, True])
    @pytest.mark.parametrize("seed", range(6))
    def test_goes_where_pytorch_sends_it(self, relu: bool, seed: int) -> None:
        pool = replace(SAME, size=(2, 5, 6, 3), stride=(2, 1))
        x = (special(pool, torch.float32, seed) if seed % 2 else pool.x(torch.float32)).clone()
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        y = (ops.max_pool_relu if relu else ops.max_pool)(ours, *pool.window)
        image = theirs.permute(0, 3, 1, 2)
        exact = F.max_pool2d(image.relu() if relu else image, pool.kernel, pool.stride, 1)
        assert is_same(y, exact.permute(0, 2, 3, 1))
        dy = pool.dy(torch.float32).round()  # whole numbers, whose sums have no order
        y.backward(dy)
        exact.backward(dy.permute(0, 3, 1, 2))
        assert torch.equal(ours.grad, theirs.grad)

    @pytest.mark.parametrize("function", [ops.max_pool, ops.max_pool_relu])
    @pytest.mark.parametrize("pool", [OVERLAPPING, SAME, ODD[4], ODD[5]])
    def test_gradcheck(self, pool: Pool, function: Callable[..., Tensor]) -> None:
        pool = replace(pool, size=(1, *pool.size[1:3], 2))
        # Different values, none near 0, so that a small step changes no maximum.
        order = torch.randperm(prod(pool.size), generator=torch.Generator().manual_seed(0))
        x = (order - 9.5).double().reshape(pool.size).to(DEVICE).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: function(x, *pool.window), x, fast_mode=True)

    def test_same_bits_each_time(self) -> None:
        x = SAME.x(torch.float16)
        dy = SAME.dy(torch.float16)
        _, index = ops.maxpool_with_index(x, *SAME.window)
        first, second = (
            ops.maxpool_backward(dy, index, *SAME.size[1:3], *SAME.window) for _ in range(2)
        )
        assert torch.equal(first, second)

    def test_the_operator_for_inference_has_no_gradient(self) -> None:
        x = OVERLAPPING.x(torch.float64).requires_grad_()
        with pytest.raises(RuntimeError):
            ops.maxpool(x, *OVERLAPPING.window).sum().backward()

    def test_an_expanded_gradient(self) -> None:
        x = OVERLAPPING.x(torch.float64).requires_grad_()
        ops.max_pool(x, *OVERLAPPING.window).sum().backward()
        _, places = maxima(x.detach(), OVERLAPPING)
        ones = torch.ones(OVERLAPPING.size_out, device=DEVICE)
        assert torch.equal(x.grad, gradients(ones, places, OVERLAPPING))


@pytest.mark.parametrize("pool", [replace(SAME, size=(2, 3, 4, 2)), ODD[0]])
def test_opcheck(pool: Pool) -> None:
    x, dy = pool.x(torch.float32), pool.dy(torch.float32)
    for op in (ops.maxpool, ops.maxpool_relu):
        torch.library.opcheck(op, (within(x), *pool.window))
    for op in (ops.maxpool_out, ops.maxpool_relu_out):
        torch.library.opcheck(op, (x, torch.empty_like(dy), *pool.window))
    for op in (ops.maxpool_with_index, ops.maxpool_relu_with_index):
        torch.library.opcheck(op, (x.clone().requires_grad_(), *pool.window))
    _, index = ops.maxpool_with_index(x, *pool.window)
    torch.library.opcheck(ops.maxpool_backward, (dy, index, *pool.size[1:3], *pool.window))


class TestRefusals:
    @pytest.mark.parametrize(
        ("kernel", "stride", "padding", "message"),
        [
            ([3, 3], [1, 1], [3, 0, 0, 0], "contains only padding in a height of 4"),
            ([2, 2], [2, 2], [0, 0, 0, 3], "contains only padding in a width of 5"),
            ([2, 2], [4, 4], [0, 2, 0, 0], "contains only padding in a height of 4"),
            ([5, 5], [1, 1], [0, 0, 0, 0], "a window of 5 does not fit into a height of 4"),
            ([0, 2], [1, 1], [0, 0, 0, 0], "must be at least 1"),
            ([2, 2], [1, 0], [0, 0, 0, 0], "must be at least 1"),
            ([2, 2], [1, 1], [0, -1, 0, 0], "at least 0"),
            ([2, 2], [1], [0, 0, 0, 0], "stride must be 2 integers"),
            ([2, 2], [1, 1], [0, 0], "padding must be 4 integers"),
            ([2], [1, 1], [0, 0, 0, 0], "kernel must be 2 integers"),
        ],
    )
    def test_windows(
        self, kernel: list[int], stride: list[int], padding: list[int], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            ops.maxpool(normal(1, 4, 5, 2), kernel, stride, padding)

    def test_layouts_and_types(self) -> None:
        window = [2, 2], [2, 2], [0, 0, 0, 0]
        x = normal(1, 4, 4, 6)
        for wrong in (x.permute(0, 3, 1, 2), x[:, :, ::3], x[..., ::2], x[:, :3].transpose(1, 2)):
            with pytest.raises(ValueError, match="x must be channels-last"):
                ops.maxpool(wrong, *window)
        with pytest.raises(ValueError, match="y must be channels-last"):
            ops.maxpool_out(x, normal(1, 6, 2, 2).permute(0, 2, 3, 1), *window)
        with pytest.raises(ValueError, match=r"y must be \[1, 2, 2, 6\]"):
            ops.maxpool_out(x, normal(1, 2, 2, 5), *window)
        with pytest.raises(TypeError, match="y is"):
            ops.maxpool_out(x, normal(1, 2, 2, 6, dtype=torch.float32), *window)
        with pytest.raises(TypeError, match="floating point"):
            ops.maxpool(x.int(), *window)
        with pytest.raises(ValueError, match="x must be"):
            ops.maxpool(x[0], *window)
        dy, index = normal(1, 2, 2, 6), torch.zeros(1, 2, 2, 6, dtype=torch.uint8, device=DEVICE)
        with pytest.raises(ValueError, match=r"dy must be \[1, 3, 2, 6\]"):
            ops.maxpool_backward(dy, index, 6, 4, *window)
        with pytest.raises(ValueError, match="index must be"):
            ops.maxpool_backward(dy, index[..., :5], 4, 4, *window)
        with pytest.raises(TypeError, match="contiguous uint8"):
            ops.maxpool_backward(dy, index.int(), 4, 4, *window)

    def test_too_many_pixels(self) -> None:
        with pytest.raises(ValueError, match="split the batch"):
            checked((2**15, 2**8, 2**8, 1), [2, 2], [2, 2], [0, 0, 0, 0])


@gpu
@only_on_gpu
class TestOnlyOnGpu:
    def test_more_than_two_to_the_31_elements(self) -> None:
        x = torch.zeros(33, 1024, 1024, 64, dtype=torch.bfloat16, device=DEVICE)
        x[-1] = torch.randn(1024, 1024, 64, device=DEVICE)
        window = [3, 3], [2, 2], [0, 1, 0, 1]
        y, index = ops.maxpool_with_index(x, *window)
        y_last, index_last = ops.maxpool_with_index(x[-1:].clone(), *window)
        assert torch.equal(y[-1:], y_last)
        assert torch.equal(index[-1:], index_last)
        dx = ops.maxpool_backward(y, index, 1024, 1024, *window)
        dx_last = ops.maxpool_backward(y_last, index_last, 1024, 1024, *window)
        assert torch.equal(dx[-1:], dx_last)

    @pytest.mark.parametrize("pool", [OVERLAPPING, SAME, ODD[5]])
    def test_eight_warps(self, pool: Pool) -> None:
        x, dy = pool.x(torch.float16), pool.dy(torch.float16)
        windows = checked(pool.size, *pool.window)
        y, places = maxima(x, pool)
        ours, index = torch.empty_like(y), torch.empty_like(places, dtype=torch.uint8)
        for launch in kernels.launches(x, ours, index, windows, relu=False):
            replace(launch, warps=8)()
        assert torch.equal(ours, y)
        assert torch.equal(index.long(), places)
        dx = torch.empty_like(x)
        for launch in max_gradients.launches(dy, index, dx, windows):
            replace(launch, warps=8)()
        assert torch.equal(dx, ops.maxpool_backward(dy, index, *pool.size[1:3], *pool.window))

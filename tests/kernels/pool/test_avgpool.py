from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.shapes import Kernel, Shape
from netspec.kernels.pool import averages
from netspec.kernels.pool.geometry import checked
from netspec.kernels.pool.operators import avgpool as ops
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
from tests.kernels.pool.pools import Pool, pools, spread, sums

SAME = Pool((1, 5, 4, 16), (3, 3), (1, 1), (1, 1, 1, 1))
UP = Pool((2, 6, 5, 3), (3, 3), (2, 2), (0, 1, 1, 2))
ODD = (
    SAME,
    UP,
    Pool((0, 4, 4, 3), (2, 2)),
    Pool((1, 1, 1, 1), (1, 1), (1, 1)),
    Pool((2, 4, 4, 300), (3, 3), (2, 2), (1, 1, 1, 0)),
    Pool((1, 9, 9, 2), (2, 3), (4, 5), (1, 0, 2, 2)),  # pixels that no window sees
    Pool((1, 9, 9, 2), (9, 8), (1, 1)),
    Pool((2, 8, 8, 64)),  # tiles that are full to the last
)


def counts(pool: Pool, padding: tuple[int, int, int, int]) -> Tensor:
    """Positions of each window on the map widened by ``padding``: [H', W']."""
    positions = torch.zeros(pool.size_out[1:3], dtype=torch.float64)
    _, height, width, _ = pool.size
    top, bottom, left, right = padding
    for i in range(positions.shape[0]):
        for j in range(positions.shape[1]):
            for r in range(pool.kernel[0]):
                for s in range(pool.kernel[1]):
                    h = i * pool.stride[0] + r - pool.padding[0]
                    w = j * pool.stride[1] + s - pool.padding[2]
                    positions[i, j] += -top <= h < height + bottom and -left <= w < width + right
    return positions.to(DEVICE)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Pool, list[int], bool]:
    """A pool whose padding has overhang in it, that overhang, and whether padding counts."""
    pool = draw(pools())
    _, bottom, _, right = pool.padding
    overhang = [draw(st.integers(0, bottom)), draw(st.integers(0, right))]
    return pool, overhang, draw(st.booleans())


def apart(pool: Pool, overhang: list[int]) -> tuple[int, int, int, int]:
    """The padding without the overhang."""
    top, bottom, left, right = pool.padding
    return top, bottom - overhang[0], left, right - overhang[1]


def arguments(pool: Pool, overhang: list[int], count_pad: bool) -> tuple[object, ...]:
    kernel, stride, _ = pool.window
    return kernel, stride, list(apart(pool, overhang)), overhang, count_pad


def counted(pool: Pool, overhang: list[int], count_pad: bool) -> Tensor:
    """What each window's sum is divided by, [H', W', 1]."""
    return counts(pool, apart(pool, overhang) if count_pad else (0, 0, 0, 0))[..., None]


EXAMPLES = [(pool, [0, 0], is_on) for pool in ODD for is_on in (False, True)] + [
    (UP, [1, 2], True),
    (UP, [0, 1], True),
    (UP, [1, 0], True),
    (UP, [1, 1], False),
]


class TestWindows:
    @given(case=cases(), dtype=st.sampled_from(DTYPES))
    @examples(12)
    def test_any(self, case: tuple[Pool, list[int], bool], dtype: torch.dtype) -> None:
        self.check(case, dtype)

    @pytest.mark.parametrize("case", EXAMPLES)
    def test_odd(self, case: tuple[Pool, list[int], bool]) -> None:
        self.check(case, torch.float32)

    def check(self, case: tuple[Pool, list[int], bool], dtype: torch.dtype) -> None:
        pool, count = case[0], counted(*case)
        x, dy = pool.x(dtype), pool.dy(dtype)
        y = guarded(*pool.size_out, dtype=dtype)
        ops.avgpool_out(within(x), y.slice, *arguments(*case))
        y.assert_intact()
        exact, magnitude = sums(x, pool) / count, sums(x.abs(), pool) / count
        taps = pool.kernel[0] * pool.kernel[1]
        assert_within(y.slice, exact, rounding(exact, dtype, terms=taps, magnitude=magnitude))
        assert torch.equal(y.slice, ops.avgpool(x, *arguments(*case)))

        dx = ops.avgpool_backward(within(dy), *pool.size[1:3], *arguments(*case))
        exact, magnitude = spread(dy / count, pool), spread(dy.abs() / count, pool)
        allowed = rounding(exact, dtype, terms=2 * pool.covering, magnitude=magnitude)
        assert_within(dx, exact, allowed)

    @pytest.mark.parametrize("case", [EXAMPLES[0], EXAMPLES[-4], EXAMPLES[-1], EXAMPLES[-5]])
    def test_gradcheck(self, case: tuple[Pool, list[int], bool]) -> None:
        pool = replace(case[0], size=(1, *case[0].size[1:3], 2))
        x = pool.x(torch.float64).requires_grad_()
        window = arguments(*case)
        assert torch.autograd.gradcheck(lambda x: ops.avgpool(x, *window), x, fast_mode=True)

    @pytest.mark.parametrize("case", [EXAMPLES[-4], EXAMPLES[4]])
    def test_opcheck(self, case: tuple[Pool, list[int], bool]) -> None:
        pool, window = case[0], arguments(*case)
        x, dy = pool.x(torch.float32), pool.dy(torch.float32)
        torch.library.opcheck(ops.avgpool, (x.clone().requires_grad_(), *window))
        torch.library.opcheck(ops.avgpool_out, (within(x), torch.empty_like(dy), *window))
        torch.library.opcheck(ops.avgpool_backward, (dy, *pool.size[1:3], *window))

    @pytest.mark.parametrize("count_pad", [False, True])
    @pytest.mark.parametrize("size", [(7, 8, 4), (6, 6, 4), (5, 9, 4)])
    @pytest.mark.parametrize("pad", [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 1)])
    def test_as_the_operator_of_the_language(
        self, size: tuple[int, int, int], pad: tuple[int, int, int, int], count_pad: bool
    ) -> None:
        stage = AvgPool(kernel=Kernel(3, 3, stride=2), pad=pad, round="ceil", count_pad=count_pad)
        vertical, horizontal = stage.windows([Shape(size)])
        padding = [
            *(vertical.before, vertical.tail - vertical.overhang),
            *(horizontal.before, horizontal.tail - horizontal.overhang),
        ]
        overhang = [vertical.overhang, horizontal.overhang]
        x = normal(2, *size)
        y = ops.avgpool(x, [3, 3], [2, 2], padding, overhang, count_pad)
        exact = stage.reference([Shape(size)], x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        torch.testing.assert_close(y, exact)

    @pytest.mark.filterwarnings("ignore:invalid value")  # NumPy's, in the interpreter
    def test_nan_and_infinity(self) -> None:
        x = torch.zeros(1, 4, 4, 1, device=DEVICE)
        x[0, 0, 0], x[0, 0, 2], x[0, 2, 0], x[0, 3, 1] = torch.nan, torch.inf, torch.inf, -torch.inf
        y = ops.avgpool(x, [2, 2], [2, 2], [0, 0, 0, 0], [0, 0], False)
        torch.testing.assert_close(
            y.cpu().flatten(), torch.tensor([torch.nan, torch.inf, torch.nan, 0]), equal_nan=True
        )

    def test_refusals(self) -> None:
        x = normal(1, 4, 5, 2)
        window = [2, 2], [2, 2]
        for padding, overhang in (([0, 0, 0], [0, 0]), ([0] * 4, [0]), ([0] * 4, [0, -1])):
            with pytest.raises(ValueError, match="padding must be 4 integers and overhang 2"):
                ops.avgpool(x, *window, padding, overhang, False)
        with pytest.raises(ValueError, match="contains only padding in a height"):
            ops.avgpool(x, *window, [0, 1, 0, 0], [1, 0], False)
        with pytest.raises(ValueError, match="x must be channels-last"):
            ops.avgpool(x.permute(0, 3, 1, 2), *window, [0] * 4, [0, 0], False)
        with pytest.raises(TypeError, match="y is"):
            ops.avgpool_out(x, x.float()[:, :2, :2], *window, [0] * 4, [0, 0], False)
        with pytest.raises(ValueError, match="y must be"):
            ops.avgpool_out(x, x[:, :2, :3], *window, [0] * 4, [0, 0], False)
        with pytest.raises(ValueError, match="dy must be"):
            ops.avgpool_backward(x, 4, 4, *window, [0] * 4, [0, 0], False)


@gpu
@only_on_gpu
class TestOnlyOnGpu:
    def test_more_than_two_to_the_31_elements(self) -> None:
        x = torch.zeros(33, 1024, 1024, 64, dtype=torch.bfloat16, device=DEVICE)
        x[-1] = torch.randn(1024, 1024, 64, device=DEVICE)
        window = [3, 3], [2, 2], [0, 0, 0, 0], [1, 1], False
        y = ops.avgpool(x, *window)
        assert torch.equal(y[-1:], ops.avgpool(x[-1:].clone(), *window))
        dx = ops.avgpool_backward(y, 1024, 1024, *window)
        assert torch.equal(dx[-1:], ops.avgpool_backward(y[-1:].clone(), 1024, 1024, *window))

    @pytest.mark.parametrize("pool", [SAME, UP])
    def test_eight_warps(self, pool: Pool) -> None:
        x = pool.x(torch.float16)
        window = arguments(pool, [0, 0], False)
        windows = checked(pool.size, *pool.window)
        y = torch.empty_like(pool.dy(torch.float16))
        share, ends = averages.counting(windows, list(pool.padding), count_pad=False)
        for launch in averages.launches(x, y, windows, share=share, counts=ends):
            replace(launch, warps=8)()
        assert torch.equal(y, ops.avgpool(x, *window))

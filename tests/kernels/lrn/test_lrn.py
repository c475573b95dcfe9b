from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.launch import run
from netspec.kernels.lrn import forward
from netspec.kernels.lrn.operators import check_lrn, lrn, lrn_backward, lrn_out
from netspec.kernels.lrn.scales import is_chunked
from netspec.kernels.shipped import launches
from tests.examples import examples
from tests.helpers import first_by_default
from tests.kernels import helpers
from tests.kernels.lrn.norms import (
    SLICES,
    Norm,
    allowed,
    allowed_backward,
    exact,
    gradient,
)


@dataclass(frozen=True)
class Case:
    size: tuple[int, int, int]
    part: int
    norm: Norm
    dtype: torch.dtype = torch.float32
    seed: int = 0

    @property
    def channels(self) -> int:
        return self.part * self.norm.groups

    def normal(self, seed: int = 0) -> Tensor:
        size = (*self.size, self.channels)
        return helpers.normal(*size, dtype=self.dtype, seed=2 * self.seed + seed)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    part = draw(st.one_of(st.integers(1, 100), st.sampled_from([8, 16, 24, 64, 96, 300])))
    return Case(
        size=draw(st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5))),
        part=part,
        norm=Norm(
            n=draw(st.sampled_from([1, 3, 5, 7, 9, 11, 15, 17, 21])),
            k=draw(st.sampled_from([1.0, 2.0, 0.1])),
            alpha=draw(st.sampled_from([1e-4, 0.5, 0.0, 1.7])),
            beta=draw(st.sampled_from([0.75, 0.75, 0.5, 1.0, 0.0, 0.6, 2.0])),
            groups=draw(st.integers(1, 3)),
        ),
        dtype=draw(st.sampled_from(helpers.DTYPES)),
        seed=draw(st.integers(0, 999)),
    )


ODD = [
    Case((0, 3, 3), 16, Norm()),
    Case((1, 1, 1), 1, Norm()),
    Case((1, 1, 1), 3, Norm(n=99, groups=2)),
    Case((2, 5, 13), 8, Norm(groups=2)),
    Case((2, 5, 13), 24, Norm(n=17, groups=2), torch.float16),
    Case((1, 2, 3), 16, Norm(n=3, beta=0.6), torch.float64),
    Case((1, 2, 3), 300, Norm(n=9)),
]


@examples(35)
@given(cases(), st.sampled_from(SLICES), st.sampled_from(SLICES))
@example(ODD[0], (0, 0), (0, 0))
@example(ODD[1], (0, 0), (3, 5))
@example(ODD[2], (2, 3), (3, 5))
@example(ODD[3], (3, 5), (3, 5))
@example(ODD[4], (0, 0), (8, 16))
@example(ODD[5], (3, 5), (0, 0))
@example(ODD[6], (2, 3), (2, 3))
def test_forward(case: Case, read: tuple[int, int], written: tuple[int, int]) -> None:
    x = case.normal()
    y = helpers.guarded(
        *case.size, case.channels, dtype=case.dtype, before=written[0], after=written[1]
    )
    lrn_out(helpers.within(x, *read), y.slice, *case.norm.attributes)
    y.assert_written()
    y.assert_intact()
    helpers.assert_within(y.slice, exact(x, case.norm), allowed(x, case.norm, case.dtype))


@examples(30)
@given(cases(), st.sampled_from(SLICES), st.sampled_from(SLICES))
@example(ODD[0], (0, 0), (0, 0))
@example(ODD[1], (0, 0), (3, 5))
@example(ODD[2], (2, 3), (3, 5))
@example(ODD[3], (3, 5), (3, 5))
@example(ODD[4], (0, 0), (8, 16))
@example(ODD[5], (3, 5), (0, 0))
@example(ODD[6], (2, 3), (2, 3))
def test_backward(case: Case, read: tuple[int, int], read_dy: tuple[int, int]) -> None:
    x, dy = case.normal(0), case.normal(1)
    dx = gradient(x, dy, case.norm)
    ours = lrn_backward(
        helpers.within(x, *read), helpers.within(dy, *read_dy), *case.norm.attributes
    )
    helpers.assert_within(ours, dx, allowed_backward(x, dy, dx, case.norm))


def test_the_functional_form_and_the_one_that_writes_agree() -> None:
    x = ODD[3].normal()
    y = torch.full_like(x, torch.nan)
    lrn_out(x, y, *ODD[3].norm.attributes)
    assert torch.equal(lrn(x, *ODD[3].norm.attributes), y)


def test_groups_keep_windows_apart() -> None:
    x = helpers.normal(1, 2, 2, 32, dtype=torch.float32)
    halves = [lrn(x[..., at : at + 16], 5, 2.0, 0.5, 0.75, 1) for at in (0, 16)]
    assert torch.equal(lrn(x, 5, 2.0, 0.5, 0.75, 2), torch.cat(halves, 3))


@pytest.mark.parametrize("channels", [16, 13])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_large_values_of_float16_do_not_overflow(channels: int, beta: float) -> None:
    x = helpers.normal(1, 2, 3, channels, dtype=torch.float16) * 1e4
    dy = helpers.normal(1, 2, 3, channels, dtype=torch.float16, seed=1)
    norm = Norm(alpha=1e-4, beta=beta)
    helpers.assert_within(lrn(x, *norm.attributes), exact(x, norm), allowed(x, norm, torch.float16))
    dx = gradient(x, dy, norm)
    ours = lrn_backward(x, dy, *norm.attributes)
    helpers.assert_within(ours, dx, allowed_backward(x, dy, dx, norm))


@pytest.mark.parametrize("channels", [16, 13])
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 0.0, 0.6])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, in the interpreter
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_nan_and_infinity_reach_their_windows_and_no_others(channels: int, beta: float) -> None:
    x = helpers.normal(1, 1, 4, channels, dtype=torch.float32)
    x[0, 0, 0, 5] = torch.nan
    x[0, 0, 1, 7] = torch.inf
    x[0, 0, 2, 8] = -torch.inf
    norm = Norm(n=3, beta=beta)
    y, expected = lrn(x, *norm.attributes), exact(x, norm)
    assert torch.equal(y.isnan(), expected.isnan())
    finite = ~expected.isnan()
    expected = expected.masked_fill(~finite, 0)
    helpers.assert_within(
        y.masked_fill(~finite, 0), expected, helpers.rounding(
            expected, x.dtype, terms=20, magnitude=expected.abs()
        )
    )  # fmt: skip
    dx = lrn_backward(x, torch.ones_like(x), *norm.attributes)
    if beta:
        assert dx[0, 0, 0, 3:8].isnan().all()
    assert not dx[0, 0, 0, :3].isnan().any()
    assert not dx[0, 0, 0, 8:].isnan().any()
    assert not dx[0, 0, 3].isnan().any()


SAMPLES = [
    ((1, 2, 1, 8), Norm()),
    ((1, 1, 2, 8), Norm(n=3, groups=2)),
    ((1, 2, 1, 7), Norm(n=5, beta=0.6)),
    ((1, 1, 2, 6), Norm(n=9, beta=0.5, groups=2)),
    ((1, 1, 2, 4), Norm(n=3, beta=1.0)),
]


@pytest.mark.parametrize(("size", "norm"), SAMPLES)
def test_gradients(size: tuple[int, ...], norm: Norm) -> None:
    x = helpers.normal(*size).requires_grad_()
    assert helpers.gradcheck(lambda v: lrn(v, *norm.attributes), x)


@pytest.mark.parametrize(("size", "norm"), first_by_default(SAMPLES))
def test_operators_are_registered_in_full(size: tuple[int, ...], norm: Norm) -> None:
    x, dy = helpers.normal(*size), helpers.normal(*size, seed=1)
    torch.library.opcheck(lrn, (x.clone().requires_grad_(), *norm.attributes))
    torch.library.opcheck(lrn, (helpers.within(x), *norm.attributes))
    torch.library.opcheck(lrn_out, (x, torch.zeros_like(x), *norm.attributes))
    torch.library.opcheck(lrn_backward, (x, dy, *norm.attributes))


def test_a_gradient_that_is_one_number_for_all() -> None:
    x = helpers.normal(1, 2, 2, 8).requires_grad_()
    lrn(x, 5, 2.0, 0.5, 0.75).sum().backward()
    assert x.grad is not None
    dx = gradient(x, torch.ones_like(x), Norm())
    helpers.assert_within(x.grad, dx, allowed_backward(x.detach(), torch.ones_like(x), dx, Norm()))


def test_which_shapes_go_in_chunks() -> None:
    x = torch.empty(1, 2, 2, 96, dtype=torch.float16, device="meta")
    assert is_chunked(2, 48, x)
    assert is_chunked(8, 48, x)
    assert not is_chunked(9, 48, x)
    assert not is_chunked(2, 12, x)
    assert not is_chunked(2, 48, torch.empty(1, 2, 2, 100, dtype=x.dtype, device="meta")[..., :96])
    assert is_chunked(2, 12, x.float())
    assert not is_chunked(5, 12, x.float())


@pytest.mark.parametrize("dtype", helpers.DTYPES)
def test_every_layer_that_is_shipped_goes_in_chunks(dtype: torch.dtype) -> None:
    names = {launch.kernel.__name__ for _, launch in launches("lrn", dtype)}
    assert names == {"chunked", "chunked_backward"}


X = torch.zeros(2, 3, 4, 8, device=helpers.DEVICE)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ((4, 2.0, 1.0, 0.75, 1), "n must be odd"),
        ((-1, 2.0, 1.0, 0.75, 1), "n must be odd"),
        ((5, 0.0, 1.0, 0.75, 1), "k must be above 0"),
        ((5, 2.0, -1.0, 0.75, 1), "at least 0"),
        ((5, 2.0, 1.0, -0.75, 1), "at least 0"),
        ((5, 2.0, 1.0, float("nan"), 1), "at least 0"),
        ((5, 2.0, 1.0, 0.75, 3), "8 channels cannot be divided into 3 groups"),
        ((5, 2.0, 1.0, 0.75, 0), "groups"),
    ],
)
def test_attributes_that_are_refused(attributes: tuple[int, float, float, float, int], words: str):
    for call in (lrn, lambda *a: lrn_out(X, X.clone(), *a[1:]), lambda *a: lrn_backward(X, *a)):
        with pytest.raises(ValueError, match=words):
            call(X, *attributes)


def test_tensors_that_are_refused() -> None:
    good = Norm().attributes
    with pytest.raises(ValueError, match="channels-last"):
        lrn(X.permute(0, 3, 1, 2), *good)
    with pytest.raises(ValueError, match=r"must be \[N, H, W, C\]"):
        lrn(X[0], *good)
    with pytest.raises(TypeError, match="floating point"):
        lrn(X.int(), *good)
    with pytest.raises(ValueError, match=r"dy must be \[2, 3, 4, 8\]"):
        lrn_backward(X, X[:1], *good)
    with pytest.raises(ValueError, match="dy must be channels-last"):
        lrn_backward(X, X[:1, :1, :1, :1].expand(2, 3, 4, 8), *good)
    with pytest.raises(ValueError, match=r"y must be \[2, 3, 4, 8\]"):
        lrn_out(X, X[..., :4].contiguous(), *good)
    with pytest.raises(TypeError, match=r"y is torch\.float64"):
        lrn_out(X, X.double(), *good)
    with pytest.raises(ValueError, match="split the batch"):
        check_lrn(torch.empty(2**16, 2**15, 1, 1, device="meta"), *good)


@helpers.gpu
@helpers.only_on_gpu
@pytest.mark.parametrize("channels", [192, 97])
def test_more_than_2_31_elements(channels: int) -> None:
    pixels = 2**31 // channels + 12345
    x = torch.zeros(1, pixels, 1, channels, dtype=torch.float16, device=helpers.DEVICE)
    x[0, -5:] = helpers.normal(5, 1, channels, dtype=torch.float16)
    y = lrn(x, *Norm().attributes)
    assert not y[0, :-5].any()
    end = x[:, -5:]
    helpers.assert_within(y[:, -5:], exact(end, Norm()), allowed(end, Norm(), x.dtype))
    dx = lrn_backward(x, x, *Norm().attributes)
    helpers.assert_within(
        dx[:, -5:], lrn_backward(end.double(), end.double(), *Norm().attributes),
        allowed_backward(end, end, dx[:, -5:].double(), Norm()),
    )  # fmt: skip


@helpers.gpu
@helpers.only_on_gpu
@pytest.mark.parametrize("channels", [96, 97])
def test_8_warps(channels: int) -> None:
    x = helpers.normal(2, 7, 7, channels, dtype=torch.float16)
    y = torch.full_like(x, torch.nan)
    run(replace(launch, warps=8) for launch in forward.launches(x, y, *Norm().attributes))
    helpers.assert_within(y, exact(x, Norm()), allowed(x, Norm(), x.dtype))

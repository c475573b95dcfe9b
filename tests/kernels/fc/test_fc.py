from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels import operators  # noqa: F401 (registers torch.ops.netspec)
from netspec.kernels.conv import pointwise
from netspec.kernels.fc import forward as fc
from netspec.kernels.fc import operators as registered
from netspec.kernels.launch import run
from netspec.kernels.sums import sum_parts
from tests.examples import examples
from tests.helpers import first_by_default
from tests.kernels import helpers
from tests.kernels.helpers import DEVICE, DTYPES, SENTINEL, assert_within, normal, rounding

LAYERS = {False: torch.ops.netspec.fc, True: torch.ops.netspec.fc_relu}


def operands(batch: int, terms: int, count: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """x, w, b and dy."""
    return (
        normal(batch, terms, dtype=dtype, seed=1),
        normal(count, terms, dtype=dtype, seed=2),
        normal(count, dtype=dtype, seed=3),
        normal(batch, count, dtype=dtype, seed=4),
    )


def assert_is_product(y: Tensor, left: Tensor, right: Tensor, **how: Any) -> None:
    """y = act(left right + b), within the bound of a sum."""
    left, right = left.double().cpu(), right.double().cpu()
    b = how.pop("b", None)
    b = torch.zeros(right.shape[1], dtype=torch.float64) if b is None else b.double().cpu()
    exact = left @ right + b
    if how.pop("relu", False):
        exact = torch.where(exact < 0, 0.0, exact)
    magnitude = left.abs() @ right.abs() + b.abs()
    allowed = rounding(exact, y.dtype, terms=left.shape[1], magnitude=magnitude, **how)
    assert_within(y, exact, allowed)


def apart(x: Tensor, after: int = 3) -> Tensor:
    """The same rows in a wider matrix that is NaN elsewhere."""
    whole = x.new_full((x.shape[0], 2 + x.shape[1] + after), torch.nan)
    whole[:, 2 : 2 + x.shape[1]] = x
    return whole[:, 2 : 2 + x.shape[1]]


@examples(40)
@given(
    batch=st.integers(0, 20),
    terms=st.integers(1, 300),
    count=st.integers(1, 40),
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    has_bias=st.booleans(),
    is_apart=st.booleans(),
    precision=st.sampled_from(["ieee", "tf32"]),
)
@example(1, 1, 1, torch.float32, True, True, False, "ieee")
@example(1, 2100, 9, torch.float16, False, True, False, "ieee")
@example(1, 1025, 3, torch.float64, True, True, True, "ieee")
@example(8, 2049, 5, torch.float16, True, True, True, "ieee")
@example(7, 513, 2, torch.float32, True, True, True, "ieee")
@example(9, 130, 70, torch.float32, True, True, True, "ieee")
@example(0, 5, 3, torch.float16, True, True, False, "ieee")
def test_forward(
    batch: int,
    terms: int,
    count: int,
    dtype: torch.dtype,
    relu: bool,
    has_bias: bool,
    is_apart: bool,
    precision: str,
) -> None:
    x, w, bias, _ = operands(batch, terms, count, dtype)
    b = bias if has_bias else None
    y = LAYERS[relu](apart(x) if is_apart else x, w, b, precision)
    assert_is_product(y, x, w.T, b=b, relu=relu, precision=precision)


@examples(25)
@given(
    batch=st.integers(1, 8),
    terms=st.integers(1, 1500),
    count=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
    rows=st.sampled_from([1, 2, 4]),
    lanes=st.sampled_from([32, 64]),
    splits=st.integers(1, 5),
    relu=st.booleans(),
)
@example(1, 64, 5, torch.float64, 4, 32, 5, True)
@example(3, 1025, 7, torch.float32, 2, 32, 3, True)
@example(8, 1500, 1, torch.float16, 1, 64, 4, False)
def test_however_it_is_cut_every_element_is_written_and_nothing_else(
    batch: int,
    terms: int,
    count: int,
    dtype: torch.dtype,
    rows: int,
    lanes: int,
    splits: int,
    relu: bool,
) -> None:
    x, w, b, _ = operands(batch, terms, count, dtype)
    whole = torch.full((batch + 2, count), SENTINEL, dtype=dtype, device=DEVICE)
    y = whole[1:-1]
    y.fill_(torch.nan)
    stream = fc.Stream(rows, lanes, warps=1, splits=splits)
    launches = fc.launches(x, w, b, y, relu=relu, configuration=stream)
    for launch in launches[:-1]:
        launch.arguments["y_ptr"].fill_(torch.nan)  # the parts
    run(launches)
    assert_is_product(y, x, w.T, b=b, relu=relu)
    assert whole[0].eq(SENTINEL).all()
    assert whole[-1].eq(SENTINEL).all()


def test_split_sums_repeat_bit_by_bit() -> None:
    x, w, b, _ = operands(2, 5000, 6, torch.float16)
    assert fc.choose(6, 5000, torch.float16).splits > 1
    assert torch.equal(LAYERS[False](x, w, b), LAYERS[False](x, w, b))


def test_a_layer_has_programs_enough() -> None:
    dtype = torch.bfloat16
    for terms, count in ((9216, 4096), (4096, 4096), (25088, 4096), (4096, 1000), (9216, 120)):
        stream = fc.choose(count, terms, dtype)
        assert -(-count // stream.rows) * stream.splits >= 480
        assert stream.splits == 1 or stream.depth(dtype) * stream.splits * 2 <= terms
    assert fc.choose(4096, 9216, dtype) == fc.STREAMS[0]
    assert fc.choose(1000, 4096, dtype) == fc.STREAMS[2]
    assert fc.choose(1, 1, torch.float64).splits == 1


@examples(20)
@given(
    batch=st.integers(0, 40),
    terms=st.integers(1, 90),
    count=st.integers(1, 90),
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    is_apart=st.booleans(),
    precision=st.sampled_from(["ieee", "tf32"]),
)
@example(1, 1, 1, torch.float16, True, False, "ieee")
@example(0, 3, 5, torch.float32, True, False, "ieee")
@example(70, 65, 33, torch.float32, True, True, "ieee")
@example(33, 33, 33, torch.float64, True, True, "ieee")
def test_gradients(
    batch: int,
    terms: int,
    count: int,
    dtype: torch.dtype,
    relu: bool,
    is_apart: bool,
    precision: str,
) -> None:
    x, w, b, dy = operands(batch, terms, count, dtype)
    leaves = [t.requires_grad_() for t in (apart(x) if is_apart else x, w, b)]
    y = LAYERS[relu](*leaves, precision)
    g = torch.where(y > 0, dy, 0) if relu else dy
    dx, dw, db = torch.autograd.grad(y, leaves, dy)
    x, w, g = x.detach(), w.detach(), g.detach()
    assert_is_product(dx, g, w, precision=precision)
    # A sum over images may be shared between programs, whose parts are added after.
    assert_is_product(dw, g.T, x, precision=precision)
    assert_is_product(db[:, None], g.T, g.new_ones(batch, 1))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("batch", "has_bias"), [(1, True), (3, False), (11, True)])
def test_gradcheck(relu: bool, batch: int, has_bias: bool) -> None:
    x, w, b, _ = operands(batch, 5, 4, torch.float64)
    inputs = [t.requires_grad_() for t in ((x, w, b) if has_bias else (x, w))]
    assert helpers.gradcheck(
        lambda *t: LAYERS[relu](t[0], t[1], t[2] if has_bias else None), inputs
    )


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("wanted", ["x", "w", "b"])
def test_a_gradient_that_nobody_wants_is_not_computed(
    relu: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("conv2d_input_gradient", "conv2d_weight_gradient"):
        real = getattr(registered, name)

        def spy(*a: Any, name: str = name, real: Any = real, **k: Any) -> Any:
            asked.append(name)
            return real(*a, **k)

        monkeypatch.setattr(registered, name, spy)
    x, w, b, _ = operands(2, 5, 4, torch.float32)
    leaf = {"x": x, "w": w, "b": b}[wanted].requires_grad_()
    LAYERS[relu](x, w, b).sum().backward()
    assert leaf.grad is not None
    assert asked == [f"conv2d_{'input' if wanted == 'x' else 'weight'}_gradient"]
    y = torch.nn.functional.linear(x, w, b)
    (expected,) = torch.autograd.grad((y.relu() if relu else y).sum(), leaf)
    torch.testing.assert_close(leaf.grad, expected)


@pytest.mark.parametrize("relu", [False, True])
def test_a_gradient_may_arrive_expanded_or_transposed(relu: bool) -> None:
    x, w, b, dy = operands(3, 5, 4, torch.float64)
    x.requires_grad_()
    for weight in (dy.T.contiguous().T, dy[:1].expand(3, 4)):
        (dx,) = torch.autograd.grad(LAYERS[relu](x, w, b), x, weight)
        y = torch.nn.functional.linear(x, w, b)
        (expected,) = torch.autograd.grad(y.relu() if relu else y, x, weight)
        torch.testing.assert_close(dx, expected)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, in the interpreter
@pytest.mark.parametrize("batch", [1, 9])
def test_nan_and_infinities_pass_as_in_pytorch(batch: int) -> None:
    x = torch.tensor([[torch.inf, 1.0, -1.0]], device=DEVICE).repeat(batch, 1)
    w = torch.tensor(
        [[1.0, 0.0, 0.0], [-1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [1.0, torch.nan, 1.0]], device=DEVICE
    )
    torch.testing.assert_close(LAYERS[True](x, w, None), (x @ w.T).relu(), equal_nan=True)


@pytest.mark.parametrize("batch", [1, 9])
def test_extreme_values_of_half_precision_are_summed_in_float32(batch: int) -> None:
    x = torch.full((batch, 600), 1e4, dtype=torch.float16, device=DEVICE)
    w = torch.full((2, 600), 0.5, dtype=torch.float16, device=DEVICE)
    w[:, 300:] = -0.5
    b = torch.tensor([1.0, -1.0], dtype=torch.float16, device=DEVICE)
    assert LAYERS[False](x, w, b).tolist() == [[1.0, -1.0]] * batch
    assert LAYERS[True](x, w, b).tolist() == [[1.0, 0.0]] * batch


SAMPLES = [
    (1, 7, 5, torch.float32, True),
    (4, 33, 3, torch.float64, False),
    (10, 6, 4, torch.float32, True),
    (0, 6, 4, torch.float32, True),
    (2, 1, 1, torch.float16, True),
]


@pytest.mark.parametrize(
    ("batch", "terms", "count", "dtype", "has_bias"), first_by_default(SAMPLES)
)
def test_opcheck(batch: int, terms: int, count: int, dtype: torch.dtype, has_bias: bool) -> None:
    x, w, bias, _ = operands(batch, terms, count, dtype)
    b = bias if has_bias else None
    for relu in (False, True):
        with_gradient = [t if t is None else t.clone().requires_grad_() for t in (x, w, b)]
        torch.library.opcheck(LAYERS[relu].default, (x, w, b))
        torch.library.opcheck(LAYERS[relu].default, (*with_gradient, "tf32"))


def test_what_does_not_fit_is_refused() -> None:
    x, w, b, _ = operands(2, 4, 5, torch.float32)
    layer = LAYERS[True]
    for call, said in (
        (lambda: layer(x[0], w, b), r"x must be \[N, K\]"),
        (lambda: layer(normal(4, 2, dtype=x.dtype).T, w, b), "side by side|channels-last"),
        (lambda: layer(x[:1].expand(2, 4), w, b), "side by side|channels-last"),
        (lambda: layer(x, w[0], b), r"w must be \[O, K\]"),
        (lambda: layer(x, w[:, :3].contiguous(), b), r"w must be \[5, 4\]"),
        (lambda: layer(x, normal(4, 5, dtype=x.dtype).T, b), "w must be contiguous"),
        (lambda: layer(x, w, b[:2]), r"b must be \[5\]"),
        (lambda: layer(x, w, b, "half"), "precision must be"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    for call, said in (
        (lambda: layer(x, w.double(), b), "w is"),
        (lambda: layer(x, w, b.double()), "b is"),
        (lambda: layer(x.int(), w, b), "floating point"),
    ):
        with pytest.raises(TypeError, match=said):
            call()


@pytest.mark.parametrize("dtype", DTYPES)
def test_shipped_launches_are_for_few_images_and_many(dtype: torch.dtype) -> None:
    kernels = [launch.kernel for _, launch in fc.shipped(dtype)]
    assert kernels.count(pointwise.pointwise) == 1
    assert kernels.count(fc.stream) == 5
    assert kernels.count(sum_parts) == 1


@helpers.gpu
@helpers.only_on_gpu
@pytest.mark.parametrize("batch", [1, 9])
def test_offsets_beyond_31_bits(batch: int) -> None:
    terms, count = 2**16, 2**15 + 8
    w = torch.zeros(count, terms, dtype=torch.float16, device=DEVICE)
    w[-1] = 1
    x = torch.ones(batch, terms, dtype=torch.float16, device=DEVICE) / 64
    y = LAYERS[False](x, w, None)
    assert y[:, -1].eq(1024).all()
    assert y[:, :-1].eq(0).all()

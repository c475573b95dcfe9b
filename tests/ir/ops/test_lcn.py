from __future__ import annotations

from math import exp, sqrt

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.ir.ops.lcn import LocalContrastNorm
from netspec.ir.shapes import Field, Kernel, Pair, Shape
from tests.helpers import codes_of_rows, load_rows
from tests.ir.ops.helpers import (
    assert_gradients,
    assert_same,
    images,
    mistakes,
    refusal,
    written_mistakes,
)

OP = LocalContrastNorm(kernel=Kernel(5, 3), sigma=1.2)
MAP = [Shape((55, 55, 96))]
odd = st.sampled_from([1, 3, 5, 7])
sizes = st.integers(1, 6)


def window(kernel: Pair, sigma: float, size: Pair, y: int, x: int) -> dict[Pair, float]:
    """The taps (row, column) around (y, x) that lie inside the map, and their weights."""
    weights = {}
    for p in range(-(kernel[0] // 2), kernel[0] // 2 + 1):
        for q in range(-(kernel[1] // 2), kernel[1] // 2 + 1):
            if 0 <= y + p < size[0] and 0 <= x + q < size[1]:
                weights[y + p, x + q] = exp(-(p * p + q * q) / (2 * sigma * sigma))
    return weights


def by_loops(a: np.ndarray, kernel: Pair, sigma: float) -> np.ndarray:
    """The formula for one image [C, H, W], with the weights divided by their sum at the end."""
    maps, height, width = a.shape
    v, s, b = np.zeros_like(a), np.zeros((height, width)), np.zeros_like(a)
    for y, x in np.ndindex(height, width):
        weights = window(kernel, sigma, (height, width), y, x)
        every = maps * sum(weights.values())
        mean = sum(w * a[j, r, c] for (r, c), w in weights.items() for j in range(maps)) / every
        for i in range(maps):
            v[i, y, x] = a[i, y, x] - mean
    for y, x in np.ndindex(height, width):
        weights = window(kernel, sigma, (height, width), y, x)
        every = maps * sum(weights.values())
        total = sum(w * v[j, r, c] ** 2 for (r, c), w in weights.items() for j in range(maps))
        s[y, x] = sqrt(total / every)
    for i, y, x in np.ndindex(*a.shape):
        b[i, y, x] = v[i, y, x] / max(s.sum() / s.size, s[y, x])
    return b


def apply(op: LocalContrastNorm, x: Tensor) -> Tensor:
    return op.reference([Shape((x.shape[2], x.shape[3], x.shape[1]))], x)


@given(
    kernel=st.tuples(odd, odd),
    sigma=st.sampled_from([0.3, 1.0, 1.591, 20.0]),
    size=st.tuples(sizes, sizes),
    maps=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@example(kernel=(9, 9), sigma=1.591, size=(12, 11), maps=3, seed=0)
@example(kernel=(7, 1), sigma=1.0, size=(2, 5), maps=2, seed=0)
@example(kernel=(1, 1), sigma=1.0, size=(3, 3), maps=2, seed=0)
def test_lcn_is_the_formula_of_the_paper(
    kernel: Pair, sigma: float, size: Pair, maps: int, seed: int
) -> None:
    sees_others = maps > 1 or any(min(pair) > 1 for pair in zip(kernel, size, strict=True))
    assume(sees_others)  # else v is 0, and the loops make 0 / 0
    x = images((*size, maps), seed=seed)
    expected = np.stack([by_loops(image, kernel, sigma) for image in x.numpy()])
    assert_same(apply(LocalContrastNorm(kernel=Kernel(*kernel), sigma=sigma), x), expected)


def test_one_row_of_three_by_hand() -> None:
    # Weights 1, e^-0.5 around each pixel; 3, 0, 0 with e = e^-0.5.
    e = exp(-0.5)
    v = [3 - 3 / (1 + e), -3 * e / (1 + 2 * e), 0.0]
    s = [
        sqrt((v[0] ** 2 + e * v[1] ** 2) / (1 + e)),
        sqrt((e * v[0] ** 2 + v[1] ** 2) / (1 + 2 * e)),
        sqrt(e * v[1] ** 2 / (1 + e)),
    ]
    expected = [value / max(sum(s) / 3, root) for value, root in zip(v, s, strict=True)]
    x = torch.tensor([3.0, 0.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 3)
    y = apply(LocalContrastNorm(kernel=Kernel(3, 3), sigma=1.0), x)
    assert_same(y.flatten(), np.array(expected))


@given(st.floats(-1e6, 1e6), st.sampled_from([torch.float32, torch.float64]), st.integers(1, 5))
def test_a_constant_image_gives_exactly_zero(value: float, dtype: torch.dtype, maps: int) -> None:
    x = torch.full((2, maps, 6, 7), value, dtype=dtype)
    assert torch.equal(apply(OP, x), torch.zeros_like(x))


def test_a_constant_image_beside_another_changes_nothing() -> None:
    x = images((6, 7, 2))
    x[1] = 0.1
    assert_same(apply(OP, x)[0], apply(OP, x[:1])[0])
    assert (apply(OP, x)[1] == 0).all()


def test_maps_that_are_constant_but_differ_are_contrast() -> None:
    x = torch.tensor([1.0, 3.0], dtype=torch.float64).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    assert_same(apply(OP, x), torch.sign(x - 2))


def test_a_flat_region_gives_zero_and_finite_gradients() -> None:
    x = images((12, 12, 2))
    x[:, :, :8, :] = 0.1
    x.requires_grad_()
    y = apply(OP, x)
    assert float(y[:, :, :4].detach().abs().max()) < 1e-15
    y.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    flat = torch.full((1, 2, 5, 5), 3.0, requires_grad=True)
    apply(OP, flat).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_contrast_does_not_change_with_brightness_and_exposure(scale: float, shift: float) -> None:
    x = images((6, 7, 2))
    assert torch.allclose(apply(OP, scale * x + shift), apply(OP, x), rtol=1e-9, atol=1e-9)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(LocalContrastNorm(kernel=Kernel(3, 3), sigma=0.8), images((4, 3, 2), batch=2))


@pytest.mark.parametrize("sigma", [1e-320, 1e-160, 1e300])
def test_extreme_windows_are_no_problem(sigma: float) -> None:
    y = apply(LocalContrastNorm(kernel=Kernel(1001, 1001), sigma=sigma), images((5, 4, 2)))
    assert y.isfinite().all()


def test_lcn_keeps_the_shape_and_holds_nothing() -> None:
    assert OP.shape(MAP) == (55, 55, 96)
    assert OP.parameters(MAP) == {}
    assert 0 in OP.macs(MAP)
    assert OP.neurons(MAP) == 0
    assert OP.kernel_text(MAP) == "5x3"
    assert mistakes(OP) == []


def test_the_field_grows_by_the_window_twice() -> None:
    field = OP.field([Field(size=(11, 11), start=(-1, 0), stride=(4, 4))], MAP)
    assert field == Field(size=(11 + 4 * 8, 11 + 4 * 4), start=(-1 - 4 * 4, -4 * 2), stride=(4, 4))


def test_an_output_hears_its_field_and_beyond_it_only_through_the_mean() -> None:
    x = images((15, 15, 1), batch=1)
    x[:, :, 7, 7] = 20  # s is large here, so that the maximum is not the mean
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(apply(OP, x)[0, 0, 7, 7], x)
    rows, columns = gradient[0, 0].nonzero().unbind(1)
    (height, width), (top, left) = (9, 5), (7 - 4, 7 - 2)
    assert (rows.min(), rows.max()) == (top, top + height - 1)
    assert (columns.min(), columns.max()) == (left, left + width - 1)


@pytest.mark.parametrize(
    "kernel", [Kernel(8, 9), Kernel(9, 8), Kernel(9, 9, 3), Kernel(9, 9, None, 1)]
)
def test_a_kernel_is_odd_and_has_neither_channels_nor_stride(kernel: Kernel) -> None:
    assert written_mistakes(LocalContrastNorm, kernel=kernel, sigma=2.0) == [("NS132", "kernel")]


def test_a_vector_is_refused() -> None:
    assert refusal(OP, (96,)).code == "NS206"


def test_a_spec_has_to_say_sigma() -> None:
    assert codes_of_rows("a: lcn 3x3") == ["NS133"]
    assert codes_of_rows("a: lcn 3x3, sigma=0") == ["NS132"]
    assert codes_of_rows("a: lcn 4x4, sigma=1") == ["NS132"]
    assert load_rows("a: lcn 3x3, sigma=1 -> 8x8x3 field 5").graph.outputs

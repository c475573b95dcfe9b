from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, mistakes, refusal

MAP = [Shape((55, 55, 96))]
windows = st.sampled_from([1, 3, 5, 7])


@given(
    n=windows,
    part=st.integers(1, 6),
    groups=st.integers(1, 3),
    k=st.sampled_from([0.5, 1.0, 2.0]),
    alpha=st.sampled_from([0.0, 1e-4, 0.5]),
    beta=st.sampled_from([0.0, 0.5, 0.75, 2.0]),
)
@example(n=7, part=2, groups=3, k=1.0, alpha=0.5, beta=0.75)
@example(n=5, part=1, groups=1, k=2.0, alpha=0.5, beta=0.75)
def test_lrn_is_the_formula_of_the_paper(
    n: int, part: int, groups: int, k: float, alpha: float, beta: float
) -> None:
    op = LocalResponseNorm(n=n, k=k, alpha=alpha, beta=beta, groups=groups)
    inputs = [Shape((2, 3, part * groups))]
    x = images(inputs[0])
    a, b = x.numpy(), np.zeros(x.shape)
    for image, i, row, column in np.ndindex(*b.shape):
        first, last = i // part * part, i // part * part + part - 1
        total = 0.0
        for j in range(max(first, i - n // 2), min(last, i + n // 2) + 1):
            total += a[image, j, row, column] ** 2
        b[image, i, row, column] = a[image, i, row, column] / (k + alpha * total) ** beta
    assert_same(op.reference(inputs, x), b)


@given(windows, st.integers(1, 9))
def test_pytorch_divides_alpha_by_n(n: int, channels: int) -> None:
    op, inputs = LocalResponseNorm(n=n, k=1.5, alpha=0.3, beta=0.75), [Shape((2, 2, channels))]
    x = images(inputs[0])
    expected = F.local_response_norm(x, n, alpha=0.3 * n, beta=0.75, k=1.5)
    assert_same(op.reference(inputs, x), expected)


def test_one_value_by_hand() -> None:
    op = LocalResponseNorm(n=5, k=2.0, alpha=1.0, beta=1.0)
    x = images((1, 1, 1), batch=1) * 0 + 3
    assert_same(op.reference([Shape((1, 1, 1))], x), x / 11)


def test_groups_normalise_as_if_they_were_alone() -> None:
    whole = LocalResponseNorm(n=3, alpha=0.5, groups=2)
    alone = LocalResponseNorm(n=3, alpha=0.5)
    x = images((2, 2, 8))
    y = whole.reference([Shape((2, 2, 8))], x)
    for half in (slice(0, 4), slice(4, 8)):
        assert_same(y[:, half], alone.reference([Shape((2, 2, 4))], x[:, half]))


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_are_those_of_finite_differences(groups: int) -> None:
    assert_gradients(LocalResponseNorm(n=3, alpha=0.5, groups=groups), images((1, 2, 4)))


def test_the_constants_of_the_paper_are_the_defaults() -> None:
    op = LocalResponseNorm(n=5)
    assert (op.k, op.alpha, op.beta) == (2.0, 1e-4, 0.75)


def test_lrn_keeps_the_shape_and_the_field_and_holds_nothing() -> None:
    op, field = LocalResponseNorm(n=5), Field(size=(11, 11), stride=(4, 4))
    assert op.shape(MAP) == (55, 55, 96)
    assert op.field([field], MAP) == field
    assert op.parameters(MAP) == {}
    assert 0 in op.macs(MAP)
    assert op.neurons(MAP) == 0
    assert op.kernel_text(MAP) is None
    assert mistakes(op) == []


def test_a_vector_is_refused() -> None:
    assert refusal(LocalResponseNorm(n=5), (96,)).code == "NS206"


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    error = refusal(LocalResponseNorm(n=5, groups=2), (3, 3, 5))
    assert error.code == "NS207"
    assert error.message == "2 groups do not divide 5 channels"

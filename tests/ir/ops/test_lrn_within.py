from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from netspec.ir.ops.lrn_within import LocalResponseNormWithin
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_gradients, assert_same, images, mistakes, refusal


@given(
    n=st.sampled_from([1, 3, 5, 7]),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    k=st.sampled_from([0.5, 1.0, 2.0]),
    alpha=st.sampled_from([0.0, 1e-4, 0.5]),
    beta=st.sampled_from([0.0, 0.5, 0.75, 2.0]),
)
@example(n=3, size=(4, 5), k=1.0, alpha=0.5, beta=0.75)
@example(n=7, size=(2, 3), k=1.0, alpha=0.5, beta=0.75)
def test_lrn_within_is_the_formula(
    n: int, size: tuple[int, int], k: float, alpha: float, beta: float
) -> None:
    op, inputs = LocalResponseNormWithin(n=n, alpha=alpha, k=k, beta=beta), [Shape((*size, 2))]
    x = images(inputs[0])
    a, b = x.numpy(), np.zeros(x.shape)
    for image, c, i, j in np.ndindex(*b.shape):
        rows = range(max(0, i - n // 2), min(size[0], i + n // 2 + 1))
        columns = range(max(0, j - n // 2), min(size[1], j + n // 2 + 1))
        total = sum(a[image, c, u, v] ** 2 for u in rows for v in columns)
        b[image, c, i, j] = a[image, c, i, j] / (k + alpha * total) ** beta
    assert_same(op.reference(inputs, x), b)


def test_caffe_divides_alpha_by_the_window() -> None:
    """Caffe pools squares, the padding counted, and takes (1 + alpha mean)^-beta of that."""
    op, inputs = LocalResponseNormWithin(n=3, alpha=0.3 / 9), [Shape((4, 5, 2))]
    x = images(inputs[0])
    means = F.avg_pool2d(x.square(), 3, 1, 1, count_include_pad=True)
    assert_same(op.reference(inputs, x), x * (1 + 0.3 * means) ** -0.75)


def test_a_channel_does_not_change_another() -> None:
    op, inputs = LocalResponseNormWithin(n=3, alpha=0.5), [Shape((3, 3, 2))]
    x = images(inputs[0])
    alone = torch.cat([x[:, :1], torch.zeros_like(x[:, 1:])], 1)
    assert torch.equal(op.reference(inputs, x)[:, 0], op.reference(inputs, alone)[:, 0])


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(LocalResponseNormWithin(n=3, alpha=0.5), images((3, 2, 2)))


def test_it_keeps_the_shape_widens_the_field_and_has_no_parameters() -> None:
    op, inputs = LocalResponseNormWithin(n=3, alpha=5e-5 / 9), [Shape((15, 15, 32))]
    assert (op.k, op.beta) == (1.0, 0.75)
    assert op.shape(inputs) == inputs[0]
    before = Field(size=(5, 5), stride=(2, 2))
    assert op.field([before], inputs) == Field(size=(9, 9), start=(-2, -2), stride=(2, 2))
    assert op.parameters(inputs) == {}
    assert 0 in op.macs(inputs)
    assert mistakes(op) == []


def test_a_vector_is_refused() -> None:
    assert refusal(LocalResponseNormWithin(n=3, alpha=0.5), (96,)).code == "NS206"

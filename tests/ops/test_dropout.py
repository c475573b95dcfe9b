from __future__ import annotations

import pytest
import torch

from netspec.ops.dropout import Dropout
from netspec.shapes import Shape
from tests.ops.helpers import assert_elementwise, assert_gradients, assert_same, images

VECTOR = [Shape((10_000,))]


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4), (7,)])
def test_inference_passes_every_value_on(size: tuple[int, ...]) -> None:
    assert_elementwise(Dropout(rate=0.5), lambda v: v, images(size))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.7])
def test_training_drops_about_rate_of_the_values(rate: float) -> None:
    torch.manual_seed(0)
    y = Dropout(rate=rate).training_reference(VECTOR, images(VECTOR[0]))
    # Of 20,000 values; five standard deviations are at most 0.018.
    assert (y == 0).double().mean().item() == pytest.approx(rate, abs=0.018)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.7])
def test_training_scales_the_values_that_are_kept(rate: float) -> None:
    torch.manual_seed(0)
    x = images(VECTOR[0])
    y = Dropout(rate=rate).training_reference(VECTOR, x)
    assert_same(y[y != 0], x[y != 0] / (1 - rate))


def test_rate_zero_drops_nothing() -> None:
    x = images(VECTOR[0])
    assert_same(Dropout(rate=0.0).training_reference(VECTOR, x), x)


def test_images_of_a_batch_drop_different_values() -> None:
    torch.manual_seed(0)
    ones = torch.ones(2, 10_000)
    first, second = Dropout(rate=0.5).training_reference(VECTOR, ones)
    assert not torch.equal(first, second)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(Dropout(rate=0.5), images((3, 2, 2)))


def test_only_values_that_are_kept_pass_a_gradient() -> None:
    torch.manual_seed(0)
    x = images(VECTOR[0]).requires_grad_()
    y = Dropout(rate=0.2).training_reference(VECTOR, x)
    y.sum().backward()
    assert x.grad is not None
    assert_same(x.grad, (y != 0).double() / 0.8)


def test_dropout_holds_and_counts_nothing() -> None:
    op = Dropout(rate=0.5)
    assert op.parameters(VECTOR) == {}
    assert 0 in op.macs(VECTOR)
    assert op.neurons(VECTOR) == 0

from __future__ import annotations

import pytest
import torch

from netspec.ir.ops.dropout import Dropout
from netspec.ir.randomness import masks
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, assert_same, images

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


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_scaled_at_test_time_inference_multiplies(rate: float) -> None:
    assert_elementwise(
        Dropout(rate=rate, scale="test"), lambda v: (1 - rate) * v, images((3, 2, 4))
    )


def test_scaled_at_test_time_training_does_not() -> None:
    torch.manual_seed(0)
    x = images(VECTOR[0])
    y = Dropout(rate=0.3, scale="test").training_reference(VECTOR, x)
    assert 0.25 < (y == 0).double().mean().item() < 0.35
    assert torch.equal(y[y != 0], x[y != 0])


@pytest.mark.parametrize("scale", ["test", "train"])
def test_inference_gives_the_mean_of_training(scale: str) -> None:
    """Of 4,000 draws of a value 1 the mean deviates by 1 / sqrt(4,000) at most, times five."""
    torch.manual_seed(0)
    op, x = Dropout(rate=0.5, scale=scale), torch.ones(4_000, 3).double()
    mean = op.training_reference([Shape((3,))], x).mean(0)
    torch.testing.assert_close(mean, op.reference([Shape((3,))], x)[0], atol=0.08, rtol=0)


@pytest.mark.parametrize("scale", ["test", "train"])
def test_masks_are_those_of_the_layer(scale: str) -> None:
    op, x = Dropout(rate=0.5, scale=scale), torch.ones(2, 50).double()
    with masks(seed=1, step=2, samples=torch.arange(2)):
        first, again = (op.training_reference(VECTOR, x, layer="F6.dropout") for _ in range(2))
        other = op.training_reference(VECTOR, x, layer="F7.dropout")
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_map_keeps_its_layout() -> None:
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    with masks(seed=1, step=2, samples=torch.arange(2)):
        y = Dropout(rate=0.5).training_reference([Shape((4, 5, 3))], x, layer="a")
    assert y.is_contiguous(memory_format=torch.channels_last)


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

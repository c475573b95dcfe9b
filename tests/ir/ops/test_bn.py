from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from netspec.ir.operator import Parameter
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import (
    assert_gradients,
    assert_same,
    images,
    mistakes,
    random_buffers,
    random_parameters,
)

OP = BatchNorm(eps=1e-3, momentum=0.3)
SIZES = [(1, 1, 3), (2, 3, 2), (4,)]


def normalise(
    x: np.ndarray, mean: np.ndarray, variance: np.ndarray, parameters: dict[str, np.ndarray]
) -> np.ndarray:
    y = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        c = place[1]
        y[place] = (x[place] - mean[c]) / sqrt(variance[c] + 1e-3)
        y[place] = parameters["weight"][c] * y[place] + parameters["bias"][c]
    return y


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and variance of each channel, and how many values they are of."""
    values = [[float(x[p]) for p in np.ndindex(*x.shape) if p[1] == c] for c in range(x.shape[1])]
    count = len(values[0])
    means = [sum(channel) / count for channel in values]
    squares = [sum((v - m) ** 2 for v in vs) for vs, m in zip(values, means, strict=True)]
    return np.array(means), np.array(squares) / count, count


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 2])
def test_inference_uses_the_running_statistics(size: tuple[int, ...], batch: int) -> None:
    inputs = [Shape(size)]
    x, parameters, buffers = (
        images(size, batch),
        random_parameters(OP, inputs),
        random_buffers(OP, inputs),
    )
    expected = normalise(
        x.numpy(),
        buffers["running_mean"].numpy(),
        buffers["running_var"].numpy(),
        {name: tensor.numpy() for name, tensor in parameters.items()},
    )
    before = {name: tensor.clone() for name, tensor in buffers.items()}
    assert_same(OP.reference(inputs, x, **parameters, **buffers), expected)
    for name, tensor in before.items():
        assert_same(buffers[name], tensor)


@pytest.mark.parametrize("size", SIZES)
def test_training_uses_the_statistics_of_the_batch(size: tuple[int, ...]) -> None:
    inputs = [Shape(size)]
    x, parameters = images(size, 3), random_parameters(OP, inputs)
    buffers = random_buffers(OP, inputs)
    mean, variance, _ = statistics(x.numpy())
    expected = normalise(
        x.numpy(), mean, variance, {name: tensor.numpy() for name, tensor in parameters.items()}
    )
    assert_same(OP.training_reference(inputs, x, **parameters, **buffers), expected)


@pytest.mark.parametrize("size", SIZES)
def test_training_moves_the_running_statistics_in_place(size: tuple[int, ...]) -> None:
    inputs = [Shape(size)]
    x, parameters = images(size, 3), random_parameters(OP, inputs)
    buffers = random_buffers(OP, inputs)
    old = {name: tensor.numpy().copy() for name, tensor in buffers.items()}
    OP.training_reference(inputs, x, **parameters, **buffers)
    mean, variance, count = statistics(x.numpy())
    unbiased = variance * count / (count - 1)
    assert_same(buffers["running_mean"], 0.7 * old["running_mean"] + 0.3 * mean)
    assert_same(buffers["running_var"], 0.7 * old["running_var"] + 0.3 * unbiased)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_finite_differences(training: bool) -> None:
    assert_gradients(OP, images((2, 1, 2), batch=3), training=training)


@pytest.mark.parametrize("size", [(3, 4, 5), (5,)])
def test_bn_holds_four_numbers_a_channel_and_trains_two(size: tuple[int, ...]) -> None:
    inputs = [Shape(size)]
    assert OP.shape(inputs) == size
    assert OP.parameters(inputs) == {
        "weight": Parameter((5,), value=1.0),
        "bias": Parameter((5,)),
    }
    assert OP.buffers(inputs) == {
        "running_mean": Parameter((5,)),
        "running_var": Parameter((5,), value=1.0),
    }


def test_a_fresh_bn_only_divides_by_the_root_of_one_and_eps() -> None:
    inputs = [Shape((2, 2, 3))]
    x = images(inputs[0])
    parameters = {**OP.parameters(inputs), **OP.buffers(inputs)}
    fresh = {name: x.new_full(p.shape, p.value) for name, p in parameters.items()}
    assert_same(OP.reference(inputs, x, **fresh), x / sqrt(1.001))


def test_bn_counts_neither_products_nor_neurons() -> None:
    inputs = [Shape((3, 4, 5))]
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0
    assert OP.kernel_text(inputs) is None
    assert mistakes(OP) == []

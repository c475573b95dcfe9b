from __future__ import annotations

import pytest
import torch

from netspec.ir.ops.shuffle import Shuffle
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_gradients, images, mistakes, refusal


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_shuffle_takes_a_channel_of_each_group_in_turn(groups: int) -> None:
    op, inputs = Shuffle(groups=groups), [Shape((3, 2, 6))]
    x = images(inputs[0])
    y = torch.empty_like(x)
    for i in range(groups):
        for k in range(6 // groups):
            y[:, k * groups + i] = x[:, i * (6 // groups) + k]
    assert torch.equal(op.reference(inputs, x), y)
    module = op.module(inputs)
    assert module is not None
    assert torch.equal(module(x), y)


def test_the_order_of_six_channels_in_two_groups() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    y = Shuffle(groups=2).reference([Shape((1, 1, 6))], x)
    assert y.flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_a_second_shuffle_by_the_other_factor_restores_the_order() -> None:
    inputs = [Shape((2, 2, 6))]
    x = images(inputs[0])
    y = Shuffle(groups=3).reference(inputs, Shuffle(groups=2).reference(inputs, x))
    assert torch.equal(y, x)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(Shuffle(groups=2), images((2, 2, 4)))


def test_shuffle_keeps_the_shape_and_has_no_parameters() -> None:
    inputs = [Shape((3, 2, 6))]
    assert Shuffle(groups=3).shape(inputs) == inputs[0]
    assert Shuffle(groups=3).parameters(inputs) == {}
    assert mistakes(Shuffle(groups=3)) == []


def test_groups_that_do_not_divide_the_channels_and_vectors_are_refused() -> None:
    assert refusal(Shuffle(groups=4), (3, 2, 6)).code == "NS207"
    assert refusal(Shuffle(groups=2), (6,)).code == "NS206"

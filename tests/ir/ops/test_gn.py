from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest
import torch

from netspec import SpecError, compile, loads, reference
from netspec.ir.operator import Parameter
from netspec.ir.ops.gn import GroupNorm
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import (
    HEADER,
    assert_gradients,
    assert_same,
    images,
    random_parameters,
    refusal,
)

OP = GroupNorm(groups=2, eps=1e-3)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("size", [(3, 2, 6), (2, 1, 6), (6,)])
def test_gn_is_its_formula(size: tuple[int, ...], groups: int, training: bool) -> None:
    op, inputs, x = GroupNorm(groups=groups, eps=1e-3), [Shape(size)], images(size)
    parameters = random_parameters(op, inputs)
    weight, bias = (parameters[name].tolist() for name in ("weight", "bias"))
    y, part = np.zeros(x.shape), 6 // groups
    for n, g in np.ndindex(len(x), groups):
        places = [p for p in np.ndindex(*x.shape) if p[0] == n and p[1] // part == g]
        values = [float(x[place]) for place in places]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        for place, v in zip(places, values, strict=True):
            c = place[1]
            y[place] = weight[c] * (v - mean) / sqrt(variance + 1e-3) + bias[c]
    run = op.training_reference if training else op.reference
    assert op.shape(inputs) == size
    assert_same(run(inputs, x, **parameters), y)


@pytest.mark.parametrize("size", [(2, 1, 4), (4,)])
def test_gradients_are_those_of_finite_differences(size: tuple[int, ...]) -> None:
    assert_gradients(OP, images(size))


def test_gn_trains_two_numbers_a_channel() -> None:
    expected = {"weight": Parameter((4,), value=1.0), "bias": Parameter((4,))}
    assert OP.parameters([Shape((3, 2, 4))]) == expected


def test_every_position_sees_the_whole_map() -> None:
    field, size = Field(size=(7, 7), stride=(4, 4)), Shape((3, 2, 4))
    assert OP.field([field], [size]) == field.over(size)
    assert OP.field([field], [size]) != field


def test_groups_must_divide_the_channels() -> None:
    assert refusal(OP, (3, 2, 5)).code == "NS207"
    with pytest.raises(SpecError, match="4 groups do not divide 6 channels"):
        loads(f"{HEADER}a: gn 4, eps=1e-5")


def test_there_is_no_bound_where_squares_overflow() -> None:
    assert OP.growth([Shape((3, 2, 4))]).gain == inf


@pytest.mark.parametrize("batch", [1, 3])
def test_one_value_per_group_gives_the_bias_at_any_batch(batch: int) -> None:
    net = loads("net n\ninput image 1x1x4\na: gn 4, eps=1e-3")
    for model in (reference(net), compile(net)):
        with torch.no_grad():
            model.load_state_dict({"a.weight": torch.ones(4), "a.bias": torch.arange(4.0)})
            y = model(torch.randn(batch, 4, 1, 1))
        # x / sqrt(eps) and mean / sqrt(eps) are rounded apart: 4 * 32 * 2^-23 for |x| below 4
        assert y.flatten(1).numpy() == pytest.approx(np.tile(np.arange(4.0), (batch, 1)), abs=2e-5)

"""Fused operators mean what their parts mean one after the other."""

from __future__ import annotations

import pytest
import torch

from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.fused.slice import Slice
from netspec.ir.operator import Operator, Parameter, attributes_as
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.silu import Silu
from netspec.ir.shapes import Field, Kernel, Shape
from tests.ir.ops.helpers import images, random_parameters

INPUT = Shape((7, 6, 4))
KERNEL = Kernel(3, 2)
CONV = Conv(kernel=KERNEL, count=6, stride=(2, 1), pad=(1, 0, 1, 0), groups=2)
POOL = MaxPool(kernel=KERNEL, stride=(2, 2), pad=(1, 1, 0, 1), round="ceil")
AVERAGE = AvgPool(kernel=KERNEL, stride=(2, 2), pad=(1, 1, 0, 1), count_pad=False)
LRN = LocalResponseNorm(n=3, alpha=0.5, groups=2)

WITH_RELU: list[tuple[type[Operator], Operator]] = [
    (ConvRelu, CONV),
    (ConvRelu, Conv(kernel=Kernel(1, 1), count=3, bias=False)),
    (FullyConnectedRelu, FullyConnected(count=5)),
    (FullyConnectedRelu, FullyConnected(count=5, bias=False)),
    (MaxPoolRelu, POOL),
    (AvgPoolBiasRelu, attributes_as(AvgPoolBias, AVERAGE)),
]


@pytest.mark.parametrize(("kind", "before"), WITH_RELU)
def test_with_relu(kind: type[Operator], before: Operator) -> None:
    assert_applies(Relu(), attributes_as(kind, before), before)


def test_with_an_activation() -> None:
    assert_applies(Silu(), attributes_as(ConvActivation, CONV, activation=Silu()), CONV)


def assert_applies(after: Operator, fused: Operator, before: Operator) -> None:
    """The fused operator computes ``after`` of ``before``, and is like ``before`` in all else."""
    inputs, x = [INPUT], images(INPUT)
    parameters = random_parameters(before, inputs)
    between = before.reference(inputs, x, **parameters)
    y = fused.reference(inputs, x, **parameters)
    assert torch.equal(y, after.reference([before.shape(inputs)], between))
    assert (between < 0).any(), "nothing here is below zero"
    assert tuple(y.shape[1:]) == fused.shape(inputs).torch
    assert fused.shape(inputs) == before.shape(inputs)
    assert fused.parameters(inputs) == before.parameters(inputs)
    assert fused.macs(inputs) == before.macs(inputs)
    assert fused.neurons(inputs) == before.neurons(inputs)
    assert fused.kernel_text(inputs) == before.kernel_text(inputs)
    assert fused.field([Field()], inputs) == before.field([Field()], inputs)
    assert fused.is_trained == before.is_trained


def test_average_pooling_with_bias() -> None:
    fused, x = attributes_as(AvgPoolBias, AVERAGE), images(INPUT)
    assert fused.shape([INPUT]) == AVERAGE.shape([INPUT])
    assert fused.parameters([INPUT]) == {"bias": Parameter((4,))}
    bias = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    y = fused.reference([INPUT], x, bias=bias)
    for channel in range(4):
        wanted = AVERAGE.reference([INPUT], x)[:, channel] + bias[channel]
        assert torch.equal(y[:, channel], wanted)


def test_pooled_local_response_normalisation() -> None:
    fused, x = LrnMaxPool(lrn=LRN, pool=POOL), images(INPUT)
    wanted = POOL.reference([INPUT], LRN.reference([INPUT], x))
    assert torch.equal(fused.reference([INPUT], x), wanted)
    assert fused.shape([INPUT]) == POOL.shape([INPUT])
    assert fused.kernel_text([INPUT]) == POOL.kernel_text([INPUT])
    assert fused.field([Field()], [INPUT]) == POOL.field([Field()], [INPUT])
    assert fused.parameters([INPUT]) == {}


@pytest.mark.parametrize("shape", [INPUT, Shape((4,))])
def test_a_slice_is_a_view_of_some_channels(shape: Shape) -> None:
    x = images(shape)
    fused = Slice(start=1, count=2)
    y = fused.reference([shape], x)
    assert torch.equal(y, x[:, 1:3])
    assert y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert fused.shape([shape]) == (*shape[:-1], 2)
    assert tuple(y.shape[1:]) == fused.shape([shape]).torch


def test_a_slice_stays_inside() -> None:
    assert Slice(start=1, count=3).shape([INPUT]).channels == 3
    with pytest.raises(AssertionError, match="start=2"):
        Slice(start=2, count=3).shape([INPUT])


def test_the_language_has_no_word_for_them() -> None:
    kinds = [kind for kind, _ in WITH_RELU]
    kinds += [AvgPoolBias, ConvActivation, LrnMaxPool, Slice]
    assert not {kind.name for kind in kinds} & {*OPERATORS}

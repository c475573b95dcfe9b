from __future__ import annotations

import pytest
import torch

from netspec.backends.cpu.activations import STEPS
from netspec.ir.fused.conv_activation import ACTIVATIONS, ConvActivation
from netspec.ir.operator import Operator, attributes_as
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.shapes import Kernel
from tests.backends.cpu.activations import CONVOLVED
from tests.backends.cpu.helpers import TYPES, assert_right, implementations, problem_of


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("activation", CONVOLVED.values(), ids=CONVOLVED)
def test_convolutions_with_an_activation(activation: Operator, dtype: torch.dtype) -> None:
    """Depthwise ones too, for which the library has other code."""
    for groups in (1, 8):
        conv = Conv(kernel=Kernel(3, 3), count=8, groups=groups, pad=(1, 1, 1, 1))
        op = attributes_as(ConvActivation, conv, activation=activation)
        problem = problem_of(op, (8, 9, 8), dtype=dtype)
        names = list(implementations(problem))
        assert names[0] == "onednn"
        for name in names:
            if name != "torch" or dtype == torch.float32:
                assert_right(problem, name)


def test_every_activation_of_a_convolution_is_tried() -> None:
    tried = {type(op) for op in CONVOLVED.values()}
    assert tried == {*STEPS}
    assert {*ACTIVATIONS} == tried - {Relu6}

from __future__ import annotations

import pytest
import torch

from netspec import loads
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import HEADER, assert_elementwise, assert_gradients, images

OP = Relu6()


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4), (7,)])
def test_relu6_is_its_formula(size: tuple[int, ...]) -> None:
    assert_elementwise(OP, lambda v: min(6.0, max(0.0, v)), 5 * images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, 5 * images((3, 2, 2)))


def test_both_ends_pass_no_gradient() -> None:
    x = torch.tensor([[0.0, 3.0, 6.0]], dtype=torch.float64, requires_grad=True)
    OP.reference([Shape((3,))], x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 1, 0]]


def test_relu6_has_no_attributes_and_prints_as_written() -> None:
    assert Relu6.attributes() == ()
    stage = loads(f"{HEADER}a: relu6\n").graph.stage("a.relu6")
    assert stage.op == OP
    assert stage.op.name == "relu6"

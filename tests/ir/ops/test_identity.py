from __future__ import annotations

import pytest

from netspec.ir.ops.identity import Identity
from netspec.ir.shapes import Field, Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images

OP = Identity()


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4), (7,)])
def test_identity_passes_every_value_on(size: tuple[int, ...]) -> None:
    assert_elementwise(OP, lambda v: v, images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


def test_identity_keeps_the_field_and_holds_nothing() -> None:
    inputs, field = [Shape((3, 2, 4))], Field(size=(5, 3), start=(-2, 0), stride=(2, 1))
    assert OP.field([field], inputs) == field
    assert OP.parameters(inputs) == {}
    assert 0 in OP.macs(inputs)
    assert OP.neurons(inputs) == 0
    assert OP.kernel_text(inputs) is None

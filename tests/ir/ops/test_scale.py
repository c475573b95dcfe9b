from __future__ import annotations

import pytest

from netspec.ir.ops.scale import Scale
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images

OP = Scale(factor=-0.3)


@pytest.mark.parametrize("factor", [-0.3, 0.0, 1.0, 1e4])
@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_scale_is_its_formula(size: tuple[int, ...], factor: float) -> None:
    assert_elementwise(Scale(factor=factor), lambda v: factor * v, images(size))


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((3, 2, 2)))


def test_the_factor_is_not_trained() -> None:
    assert OP.parameters([Shape((3, 2, 4))]) == {}

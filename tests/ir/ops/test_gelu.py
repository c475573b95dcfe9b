from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt, tanh

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.ops.gelu import Gelu
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_elementwise, assert_gradients, images


def by_tanh(v: float) -> float:
    return v / 2 * (1 + tanh(sqrt(2 / pi) * (v + 0.044715 * v**3)))


FORMULAS: dict[str, Callable[[float], float]] = {
    "exact": lambda v: v / 2 * (1 + erf(v / sqrt(2))),
    "tanh": by_tanh,
}


@pytest.mark.parametrize("form", FORMULAS)
@given(numbers=st.lists(st.floats(-50, 50), min_size=1, max_size=9))
def test_gelu_is_its_formula(numbers: list[float], form: str) -> None:
    x = torch.tensor([numbers], dtype=torch.float64)
    assert_elementwise(Gelu(form=form), FORMULAS[form], x)


@pytest.mark.parametrize("size", [(3, 2, 4), (7,)])
def test_gelu_is_exact_by_default(size: tuple[int, ...]) -> None:
    assert_elementwise(Gelu(), FORMULAS["exact"], images(size))


@pytest.mark.parametrize("form", FORMULAS)
def test_gradients_are_those_of_finite_differences(form: str) -> None:
    assert_gradients(Gelu(form=form), images((3, 2, 2)))


def test_the_forms_differ_by_as_much_as_the_page_says() -> None:
    x = torch.linspace(-6, 6, 10_001, dtype=torch.float64)[None]
    exact, tanh = (Gelu(form=form).reference([Shape((10_001,))], x) for form in FORMULAS)
    assert 4e-4 < float((exact - tanh).abs().max()) < 5e-4

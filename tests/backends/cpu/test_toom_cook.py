"""Short convolutions with fewer products, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.backends.cpu.toom_cook import Matrix, transforms
from tests.examples import examples

SIZES = [(m, r) for m in range(1, 7) for r in range(2, 8) if m + r - 1 <= 8]
NUMBERS = st.fractions(-9, 9, max_denominator=8)


def times(matrix: Matrix, vector: list[Fraction]) -> list[Fraction]:
    return [sum((a * x for a, x in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


@pytest.mark.parametrize(("outputs", "taps"), SIZES)
@given(data=st.data())
@examples(20)
def test_the_outputs_are_those_of_the_filter(outputs: int, taps: int, data: st.DataObject) -> None:
    n = outputs + taps - 1
    g = data.draw(st.lists(NUMBERS, min_size=taps, max_size=taps))
    d = data.draw(st.lists(NUMBERS, min_size=n, max_size=n))
    to_outputs, weights, to_factors = transforms(outputs, taps)
    products = [a * b for a, b in zip(times(weights, g), times(to_factors, d), strict=True)]
    assert times(to_outputs, products) == [
        sum((g[k] * d[i + k] for k in range(taps)), Fraction(0)) for i in range(outputs)
    ]


@pytest.mark.parametrize(("outputs", "taps"), SIZES)
def test_the_outer_factors_are_the_outer_taps(outputs: int, taps: int) -> None:
    weights = transforms(outputs, taps).weights
    assert weights[0] == (1, *[0] * (taps - 1))
    assert weights[-1] == (*[0] * (taps - 1), 1)


def test_every_output_contains_the_product_of_the_point_1_once() -> None:
    for outputs, taps in SIZES:
        if outputs + taps > 3:
            assert [row[1] for row in transforms(outputs, taps).outputs] == [1] * outputs


def test_four_outputs_of_three_taps_are_those_of_lavin_and_gray() -> None:
    """Section 4.1 of their paper, with the scale of the first factor in the data."""
    data = transforms(4, 3).data
    assert [4 * x for x in data[0]] == [4, 0, -5, 0, 1, 0]
    assert [list(row) for row in data[1:]] == [
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]


def test_growth_is_the_sum_of_absolute_values() -> None:
    # The last row of the outputs is 0, 1, -1, 8, -8, 1.  The sums of the rows of the weights are 1,
    # 1/2, 1/2, 7/24, 7/24, 1, and those of the data 5/2, 10, 10, 6, 6, 10.
    assert transforms(4, 3).growth == pytest.approx(5 + 5 + 14 + 14 + 10)

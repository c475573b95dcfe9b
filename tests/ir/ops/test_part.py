from __future__ import annotations

import pytest
import torch

from netspec.ir.ops.part import Part
from netspec.ir.shapes import Shape
from tests.ir.ops.helpers import assert_gradients, images, mistakes, refusal


@pytest.mark.parametrize("size", [(3, 2, 6), (6,)])
@pytest.mark.parametrize("of", [1, 2, 3])
def test_the_parts_in_order_are_the_whole(size: tuple[int, ...], of: int) -> None:
    x, inputs = images(size), [Shape(size)]
    parts = [Part(number=number, of=of) for number in range(1, of + 1)]
    assert all(part.shape(inputs) == (*size[:-1], 6 // of) for part in parts)
    assert torch.equal(torch.cat([part.reference(inputs, x) for part in parts], 1), x)


def test_the_second_half_starts_in_the_middle() -> None:
    x = torch.arange(6.0).view(1, 6)
    assert Part(number=2, of=2).reference([Shape((6,))], x).tolist() == [[3, 4, 5]]


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(Part(number=2, of=3), images((2, 2, 6)))


def test_the_derivation_is_a_quotient_of_the_channels() -> None:
    assert Part(number=1, of=2).derivation(2, [Shape((3, 2, 6))]) == "6/2"
    assert Part(number=1, of=2).derivation(0, [Shape((3, 2, 6))]) is None
    assert Part(number=1, of=2).derivation(0, [Shape((6,))]) == "6/2"


def test_there_is_no_third_half() -> None:
    assert mistakes(Part(number=3, of=2)) == [("NS132", "number")]
    assert mistakes(Part(number=2, of=2)) == []


def test_parts_that_do_not_divide_the_channels_are_refused() -> None:
    error = refusal(Part(number=1, of=4), (3, 2, 6))
    assert error.code == "NS207"
    assert error.message == "6 channels cannot be divided into 4 equal parts"

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.expects import Expects, step_as_json, step_from_json, step_text
from netspec.ir.recipe import FILTER as FILTERS
from netspec.ir.recipe import (
    Center,
    Divide,
    Invert,
    Order,
    Range,
    RecipeStep,
    Resize,
    Shorter,
    Subtract,
    SubtractNumbers,
)
from netspec.language.expects import prepare_of

numbers = st.fractions(-1000, 1000, max_denominator=1000).map(float)
sizes = st.integers(1, 500)
filters = st.sampled_from(FILTERS.words)
STEPS: st.SearchStrategy[RecipeStep] = st.one_of(
    st.builds(Shorter, size=sizes, filter=filters, round=st.sampled_from(["nearest", "floor"])),
    st.builds(Resize, size=st.tuples(sizes, sizes), filter=filters),
    st.builds(Center, size=st.tuples(sizes, sizes), round=st.sampled_from(["floor", "even"])),
    st.builds(Invert),
    st.builds(Order, channels=st.sampled_from(["rgb", "bgr"])),
    st.builds(Range, low=numbers, high=numbers),
    st.builds(
        Subtract,
        what=st.sampled_from(["mean", "median"]),
        over=st.sampled_from(["image", "channel"]),
    ),
    st.builds(SubtractNumbers, first=numbers),
    st.builds(SubtractNumbers, first=numbers, second=numbers, third=numbers),
    st.builds(Divide, first=numbers.filter(bool)),
)


@given(STEPS)
def test_a_step_is_read_back_from_json_and_from_its_text(step: RecipeStep) -> None:
    assert step_from_json(step_as_json(step)) == step
    assert prepare_of(step_text(step)) == (step,)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"step": "crop", "size": [8, 8]},
        {"step": "shorter"},
        {"step": "shorter", "size": 0},
        {"step": "shorter", "size": True},
        {"step": "shorter", "size": 8, "filter": "nearest!"},
        {"step": "shorter", "size": 8, "colour": 1},
        {"step": "resize", "size": [8]},
        {"step": "subtract", "numbers": []},
        {"step": "subtract", "numbers": [1, 2, 3, 4]},
        {"step": "subtract", "numbers": ["mean"]},
        {"step": "divide", "numbers": [1, 0, 1]},
        {"step": "divide", "numbers": [float("nan")]},
        {"step": "range", "low": float("inf"), "high": 1},
    ],
)
def test_what_is_no_step_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        step_from_json(data)


def test_missing_are_the_steps_that_need_a_training_set() -> None:
    image, channel = (Subtract(what="mean", over=over) for over in ("image", "channel"))
    assert Expects().missing == ()
    assert Expects((Range(low=0, high=1),)).missing == ()
    assert Expects((image, channel)).missing == (image, channel)


def test_text_is_that_of_a_spec() -> None:
    steps = (Shorter(size=256, round="floor"), SubtractNumbers(first=float(Fraction(1, 3))))
    text = "shorter 256, round=floor | subtract 0.3333333333333333"
    assert str(Expects(steps)) == text
    assert str(Expects(steps, "tencrop")) == f"{text} | tencrop"

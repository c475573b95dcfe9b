from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.training.schedule import Schedule, schedule
from tests.training.nets import small

PLATEAU = "plateau factor=0.1, times=3, patience=2"


def followed(scheduler: Schedule, errors: list[float]) -> list[tuple[float, bool]]:
    history = []
    for epoch, error in enumerate(errors):
        scheduler.after_epoch(epoch, error)
        history.append((round(scheduler.factor, 12), scheduler.finished))
    return history


def of(text: str) -> Schedule:
    return schedule(small(schedule=text).recipe)


def test_a_plateau_divides_three_times_and_then_stops() -> None:
    errors = [0.9, 0.8] + [0.8] * 8
    factors = [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.001]
    stops = [False] * 9 + [True]
    assert followed(of(PLATEAU), errors) == list(zip(factors, stops, strict=True))


def test_improvement_starts_the_count_again() -> None:
    errors = [0.9, 0.91, 0.8, 0.8, 0.79, 0.79, 0.79]
    assert [factor for factor, _ in followed(of(PLATEAU), errors)] == [1, 1, 1, 1, 1, 1, 0.1]


def test_nan_is_no_improvement() -> None:
    assert [factor for factor, _ in followed(of(PLATEAU), [math.nan] * 2)] == [1, 0.1]


@pytest.mark.parametrize(("epochs", "factor"), [(8, 0.96), (1, 0.5)])
def test_steps_of_epochs(epochs: int, factor: float) -> None:
    scheduler = of(f"every {epochs}, factor={factor}")
    factors = [value for value, _ in followed(scheduler, [0.5] * 20)]
    assert factors == [round(factor ** ((epoch + 1) // epochs), 12) for epoch in range(20)]
    assert not scheduler.finished


def test_without_a_schedule_the_rate_stays() -> None:
    scheduler = schedule(small().recipe)
    assert followed(scheduler, [0.5] * 9) == [(1, False)] * 9


@given(
    st.sampled_from([PLATEAU, "every 3, factor=0.5"]),
    st.lists(st.sampled_from([0.1, 0.2, 0.3, math.nan]), max_size=30),
    st.integers(0, 30),
)
def test_it_goes_on_from_its_state(text: str, errors: list[float], cut: int) -> None:
    whole, first, second = of(text), of(text), of(text)
    history = followed(whole, errors)
    before = followed(first, errors[:cut])
    second.load_state(json.loads(json.dumps(first.state(), allow_nan=False)))
    for epoch in range(len(before), len(errors)):
        second.after_epoch(epoch, errors[epoch])
        assert (round(second.factor, 12), second.finished) == history[epoch]
    assert second.state() == whole.state()

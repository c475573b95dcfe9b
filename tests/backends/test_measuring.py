from __future__ import annotations

import pytest

from netspec.backends.measuring import Run, in_turns, reason


class Engineless(Exception):
    """An error of a library, of no type that netspec knows."""


def steady(seconds: float) -> Run:
    return lambda: seconds


def failing_from(number: int) -> Run:
    runs = iter(range(100))

    def run() -> float:
        if next(runs) >= number:
            raise Engineless("no engine\nand a long story")
        return 1e-9

    return run


def unprepared() -> Run:
    raise Engineless


@pytest.mark.parametrize("first", [0, 1, 4])
def test_a_candidate_that_fails_costs_only_itself(first: int) -> None:
    checked: list[str] = []
    outcomes = in_turns(
        {
            "bad": lambda: failing_from(first),
            "good": lambda: steady(0.5),
            "worse": unprepared,
            "better": lambda: steady(0.25),
        },
        rounds=5,
        between=lambda: None,
        check=lambda: checked.append("check"),
    )
    assert outcomes == {
        "bad": "Engineless: no engine",
        "good": 0.5,
        "worse": "Engineless",
        "better": 0.25,
    }
    assert len(checked) == 2


def test_candidates_take_turns_with_something_between_them() -> None:
    order: list[str] = []

    def noted(name: str) -> Run:
        def run() -> float:
            order.append(name)
            return 1.0

        return run

    in_turns(
        {"a": lambda: noted("a"), "b": lambda: noted("b")},
        rounds=2,
        between=lambda: order.append("-"),
    )
    assert order == ["-", "a", "-", "b"] * 2


def test_a_device_that_is_lost_stops_everything() -> None:
    def check() -> None:
        raise OSError("lost")

    with pytest.raises(OSError, match="lost"):
        in_turns(
            {"bad": unprepared, "good": lambda: steady(1.0)},
            rounds=1,
            between=lambda: None,
            check=check,
        )


def test_an_interruption_is_no_failure() -> None:
    def interrupted() -> Run:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_turns({"a": interrupted}, rounds=1, between=lambda: None)


def test_a_reason_is_one_short_line() -> None:
    assert reason(ValueError("first\nsecond")) == "ValueError: first"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(ValueError("x" * 1000))) == 200

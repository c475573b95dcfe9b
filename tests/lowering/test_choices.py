from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch

from netspec.errors import DataError
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.tanh import Tanh
from netspec.ir.shapes import Shape
from netspec.lowering.choices import Choice, choose
from netspec.lowering.implementation import Implementation, Problem


class Fast(Implementation):
    name = "fast"


class Slow(Implementation):
    name = "slow"


RELU, TANH = (Problem(op, (Shape((4, 4, 2)),), torch.float32, 1) for op in (Relu(), Tanh()))
PROBLEMS = {"a": RELU, "b": TANH}


def implementations(problem: Problem) -> Sequence[Implementation]:
    return [Slow(), Fast()] if problem is RELU else [Slow()]


def measure(problem: Problem, candidates: Sequence[Implementation]) -> Mapping[str, float]:
    assert problem is RELU, "what has one implementation needs no measuring"
    return {
        implementation.name: 0.0 if implementation.name == "fast" else 0.002
        for implementation in candidates
    }


def test_the_preferred_one_is_taken_without_measuring() -> None:
    chosen = choose(PROBLEMS, implementations)
    assert chosen == {
        "a": Choice("slow", {"slow": None, "fast": None}),
        "b": Choice("slow", {"slow": None}),
    }
    assert [choice.origin for choice in chosen.values()] == ["preferred", "preferred"]


def test_the_fastest_is_taken_with_measuring() -> None:
    chosen = choose(PROBLEMS, implementations, measure=measure)
    assert chosen["a"] == Choice("fast", {"slow": 0.002, "fast": 0.0}, "measured")
    assert chosen["b"] == Choice("slow", {"slow": None})


def test_what_is_given_is_not_measured() -> None:
    chosen = choose(PROBLEMS, implementations, measure=measure, decided={"a": "slow"})
    assert chosen["a"] == Choice("slow", {"slow": None, "fast": None}, "given")


def test_choices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        DataError, match="name the stage 'c', but the compiled net does not have it"
    ):
        choose(PROBLEMS, implementations, decided={"c": "slow"})
    with pytest.raises(DataError, match=r"b cannot be computed by 'fast': choose one of slow$"):
        choose(PROBLEMS, implementations, decided={"b": "fast"})


def test_a_choice_as_data_is_in_milliseconds() -> None:
    choice = Choice("fast", {"slow": None, "fast": 0.00125}, "measured", {"slow": "no engine"})
    assert choice.as_json() == {
        "implementation": "fast",
        "origin": "measured",
        "candidates_ms": {"slow": None, "fast": 1.25},
        "failures": {"slow": "no engine"},
    }


def test_a_candidate_that_fails_is_named_and_costs_only_itself() -> None:
    outcomes = {"slow": 0.5, "fast": "RuntimeError: no engine"}
    chosen = choose(PROBLEMS, implementations, measure=lambda *_: outcomes)
    assert chosen["a"] == Choice(
        "slow", {"slow": 0.5, "fast": None}, "measured", {"fast": "RuntimeError: no engine"}
    )


def test_where_every_candidate_fails_the_preferred_one_is_taken() -> None:
    outcomes = {"slow": "RuntimeError: no engine", "fast": "PTXASError"}
    chosen = choose(PROBLEMS, implementations, measure=lambda *_: outcomes)
    assert chosen["a"] == Choice("slow", {"slow": None, "fast": None}, failures=outcomes)

"""f(dropout(x)) => f'(x)"""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.ir.packing import Scaled, Take
from netspec.lowering.passes import fold_dropout
from tests.lowering.passes.helpers import alone, done, operators, refused

READERS = [
    "conv 3x3, 4, pad=1",
    "local 3x3, 4",
    "fc 5",
    "conv 3x3, 4, connect=sees",
    "fc 5, bias=off",
]
TABLE = "connect sees {\n X..X\n .XX.\n X...\n}"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("rate", [0.5, 0.75])
def test_weights_take_the_factor(reader: str, rate: float) -> None:
    rows = f"a: relu\nb: dropout {rate}, scale=test\nc: {reader}\n{TABLE}"
    _, outcome = alone(rows, fold_dropout)
    name = reader.split(maxsplit=1)[0]
    assert operators(outcome.graph) == [("a.relu", "relu", ("image",)), ("c", name, ("a.relu",))]
    packed = outcome.graph.stage("c").packed
    assert packed["weight"] == Scaled(Take("c.weight"), 1 - rate)
    assert packed.get("bias", Take("c.bias")) == Take("c.bias")
    assert done(outcome) == [Entry("fold_dropout", ("b.dropout", "c"), "c")]


def test_every_reader_takes_it() -> None:
    rows = "a: dropout 0.5, scale=test\nb from a: conv 1x1, 4\nc from a: fc 3\noutput b, c"
    _, outcome = alone(rows, fold_dropout)
    assert outcome.rewrites == {"fold_dropout": 1}
    assert {name for name, *_ in operators(outcome.graph)} == {"b", "c"}


def test_two_in_a_row_go_together() -> None:
    _, outcome = alone("a: dropout 0.5, scale=test | dropout 0.75, scale=test | fc 3", fold_dropout)
    assert operators(outcome.graph) == [("a", "fc", ("image",))]
    assert outcome.graph.stage("a").packed["weight"] == Scaled(Scaled(Take("a.weight"), 0.25), 0.5)


def test_products_that_would_be_rounded_stay_apart() -> None:
    _, outcome = alone("a: dropout 0.4, scale=test | fc 3", fold_dropout)
    assert refused(outcome) == [(("a.dropout", "a"), 1)]


@pytest.mark.parametrize(
    "rest",
    [
        "b: relu",
        "b from a: fc 3\nc from a: relu\noutput b, c",
        "b: fc 3\noutput a, b",
        "b: fc 3\nhead h from a: dropout 0 if off",
    ],
)
def test_something_without_weights_reads_it(rest: str) -> None:
    _, outcome = alone(f"a: dropout 0.5, scale=test\n{rest}", fold_dropout)
    (entry,) = refused(outcome)
    assert entry[1] == 2


def test_the_place_of_an_average_pool_is_left_to_its_own_pass() -> None:
    _, outcome = alone("a: avgpool 2x2 | dropout 0.5, scale=test | conv 1x1, 2", fold_dropout)
    assert refused(outcome) == [(("a.dropout", "a"), 3)]


def test_dropout_that_scales_while_training_is_no_business_of_it() -> None:
    _, outcome = alone("a: dropout 0.5 | fc 3", fold_dropout)
    assert outcome.graph.journal == []

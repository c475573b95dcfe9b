"""concat(concat(a, b), c) => concat(a, b, c)."""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.lowering.passes import flatten_concat
from tests.helpers import HEADER
from tests.lowering.passes.helpers import (
    activations,
    alone,
    assert_values_kept,
    done,
    images,
    operators,
    random_model,
    refused,
)


def test_the_parts_stand_side_by_side() -> None:
    rows = "a: concat { relu; concat { tanh; abs }; sigmoid }"
    net, outcome = alone(rows, flatten_concat)
    last = operators(outcome.graph)[-1]
    assert last == ("a.concat", "concat", ("a.b1.relu", "a.b2.b1.tanh", "a.b2.b2.abs",
                                           "a.b3.sigmoid"))  # fmt: skip
    assert done(outcome) == [Entry("flatten_concat", ("a.b2.concat", "a.concat"), "a.concat")]
    assert refused(outcome) == []
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


@pytest.mark.parametrize("header", [HEADER, HEADER.replace("8x8x3", "7")])
def test_however_deep_they_nest_and_of_vectors_too(header: str) -> None:
    rows = "a: concat { concat { concat { relu; tanh }; concat { abs; relu } }; identity }"
    _, outcome = alone(rows, flatten_concat, header)
    assert outcome.rewrites == {"flatten_concat": 3}
    assert len(outcome.graph.operands("a.concat")) == 5


def test_an_operand_may_repeat_inside() -> None:
    rows = "a: tanh\nb: concat { identity; identity }\nc from b, a: concat"
    _, outcome = alone(rows, flatten_concat)
    assert outcome.rewrites == {"flatten_concat": 1}


def test_1_what_something_else_reads_stays() -> None:
    rows = "a: concat { relu; tanh }\nb from a, image: concat\nc from a: abs\noutput b, c"
    _, outcome = alone(rows, flatten_concat)
    assert refused(outcome) == [(("a.concat", "b.concat"), 1)]


def test_1_what_is_read_twice_stays() -> None:
    _, outcome = alone("a: concat { relu; tanh }\nb from a, a: concat", flatten_concat)
    assert outcome.rewrites == {"flatten_concat": 0}
    assert set(refused(outcome)) == {(("a.concat", "b.concat"), 1)}


def test_1_what_is_an_output_stays() -> None:
    _, outcome = alone("a: concat { relu; tanh }\nb from a, image: concat\noutput a, b",
                       flatten_concat)  # fmt: skip
    assert refused(outcome) == [(("a.concat", "b.concat"), 1)]


def test_an_addition_in_between_stays() -> None:
    _, outcome = alone("a: concat { relu; tanh }\nb: add { identity; relu }", flatten_concat)
    assert outcome.graph.journal == []

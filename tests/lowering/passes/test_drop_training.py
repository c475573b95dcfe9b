"""dropout(x) => x, identity(x) => x, and auxiliary heads are removed."""

from __future__ import annotations

from netspec.ir.graph import Entry
from netspec.lowering.passes import drop_training
from tests.lowering.passes.helpers import alone, done, operators, refused


def test_dropout_and_identity_go() -> None:
    _, outcome = alone("a: conv 1x1, 4 | dropout 0.5 | identity | relu", drop_training)
    assert operators(outcome.graph) == [("a", "conv", ("image",)), ("a.relu", "relu", ("a",))]
    assert outcome.rewrites == {"drop_training": 2}
    assert outcome.graph.same_value == {"a.dropout": "a", "a.identity": "a"}
    assert done(outcome) == [
        Entry("drop_training", ("a.dropout",), "a"),
        Entry("drop_training", ("a.identity",), "a"),
    ]


def test_a_head_goes_with_what_it_alone_reads() -> None:
    rows = "a: conv 1x1, 4\nb from a: relu\nc from a: tanh\nhead h from c: fc 3 | softmax\noutput b"
    _, outcome = alone(rows, drop_training)
    assert operators(outcome.graph) == [("a", "conv", ("image",)), ("b.relu", "relu", ("a",))]
    assert outcome.graph.heads == {}
    assert outcome.rewrites == {"drop_training": 3}
    assert done(outcome) == [Entry("drop_training", ("h.softmax",))]


def test_a_head_of_nothing_leaves_what_it_reads() -> None:
    _, outcome = alone("a: conv 1x1, 4\nhead h from a: relu if off", drop_training)
    assert operators(outcome.graph) == [("a", "conv", ("image",))]


def test_an_output_that_goes_is_what_it_passed_on() -> None:
    _, outcome = alone("a: conv 1x1, 4\nb: dropout 0.5\noutput b, a", drop_training)
    assert outcome.graph.outputs == ["a", "a"]


def test_the_input_itself_may_become_the_output() -> None:
    _, outcome = alone("a: dropout 0.5", drop_training)
    assert outcome.graph.outputs == ["image"]
    assert operators(outcome.graph) == []


def test_both_ways_into_a_join_may_become_one() -> None:
    _, outcome = alone("a: add { identity; dropout 0.5 }\nb: concat { identity; identity }",
                       drop_training)  # fmt: skip
    assert operators(outcome.graph) == [
        ("a.add", "add", ("image", "image")),
        ("b.concat", "concat", ("a.add", "a.add")),
    ]


def test_what_learns_stays() -> None:
    _, outcome = alone("a: bn eps=0.1 | relu", drop_training)
    assert outcome.rewrites == {"drop_training": 0}
    assert outcome.graph.journal == []


def test_dropout_that_scales_at_test_time_stays() -> None:
    rows = "a: conv 1x1, 4 | dropout 0.5, scale=test | dropout 0, scale=test"
    _, outcome = alone(rows, drop_training)
    assert operators(outcome.graph) == [
        ("a", "conv", ("image",)),
        ("a.dropout1", "dropout", ("a",)),
    ]
    assert refused(outcome) == [(("a.dropout1",), 1)]

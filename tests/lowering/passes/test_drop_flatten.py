"""fc(flatten(x)) => fc(x)."""

from __future__ import annotations

from netspec.lowering.passes import drop_flatten
from tests.lowering.passes.helpers import alone, operators, refused


def test_a_fully_connected_layer_reads_the_map() -> None:
    _, outcome = alone("a: flatten | fc 4", drop_flatten)
    assert operators(outcome.graph) == [("a", "fc", ("image",))]
    assert outcome.rewrites == {"drop_flatten": 1}
    assert refused(outcome) == []


def test_every_flatten_of_a_chain_goes() -> None:
    _, outcome = alone("a: flatten | flatten | flatten | fc 4", drop_flatten)
    assert operators(outcome.graph) == [("a", "fc", ("image",))]
    assert outcome.rewrites == {"drop_flatten": 3}


def test_1_a_vector_that_something_else_reads_stays() -> None:
    _, outcome = alone("a: flatten\nb from a: fc 4\nc from a: fc 5\noutput b, c", drop_flatten)
    assert outcome.rewrites == {"drop_flatten": 0}
    assert refused(outcome) == [(("a.flatten", "b"), 1), (("a.flatten", "c"), 1)]


def test_1_a_vector_that_is_an_output_stays() -> None:
    _, outcome = alone("a: flatten\nb: fc 4\noutput a, b", drop_flatten)
    assert refused(outcome) == [(("a.flatten", "b"), 1)]


def test_a_flatten_before_anything_else_stays() -> None:
    _, outcome = alone("a: flatten | relu", drop_flatten)
    assert outcome.rewrites == {"drop_flatten": 0}
    assert outcome.graph.journal == []

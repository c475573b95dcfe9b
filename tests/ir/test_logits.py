from __future__ import annotations

import pytest

from netspec import loads
from netspec.ir.logits import before_softmax, final_softmax, without_softmax

HEADER = "net n\ninput image 4x4x3\n"


@pytest.mark.parametrize(
    ("rows", "softmax", "before"),
    [
        ("a: fc 3 | softmax", "a.softmax", "a"),
        ("a: fc 3\nb: softmax", "b.softmax", "a"),
        ("a: fc 3 | softmax | identity", "a.softmax", "a"),
        ("a: gap | softmax | flatten | identity", "a.softmax", "a.gap"),
        ("a: fc 3 | softmax | softmax", "a.softmax2", "a.softmax1"),
        # of a map of several pixels the softmax is of each, and of the flat vector it is not
        ("a: conv 1x1, 3 | softmax", "a.softmax", "a"),
        ("a: conv 1x1, 3 | softmax | flatten", None, "a.flatten"),
        ("a: fc 3", None, "a"),
        ("a: fc 3 | softmax | tanh", None, "a.tanh"),
        # what comes after the softmax is read by another row, which takes probabilities
        ("a: fc 3 | softmax | identity\nb from a: fc 2\noutput a, b", None, "a.identity"),
    ],
)
def test_the_softmax_that_an_output_ends_in(rows: str, softmax: str | None, before: str) -> None:
    graph = loads(HEADER + rows).graph
    assert final_softmax(graph, graph.outputs[0]) == softmax
    assert before_softmax(graph, graph.outputs[0]) == before


def test_the_graph_without_softmax() -> None:
    rows = "a: conv 1x1, 3 | relu\nb: fc 3 | softmax\nhead h from a, weight=1: fc 2 | softmax"
    net = loads(HEADER + rows)
    graph = without_softmax(net.graph)
    assert (graph.outputs, graph.heads["h"].output) == (["b"], "h")
    assert {stage.op.name for stage in graph.stages()} == {"input", "conv", "relu", "fc"}
    assert net.graph.outputs == ["b.softmax"]


def test_what_comes_after_the_softmax_stays() -> None:
    graph = without_softmax(loads(f"{HEADER}a: gap | softmax | flatten | identity").graph)
    assert graph.outputs == ["a.identity"]
    assert [stage.op.name for stage in graph.stages()] == ["input", "gap", "flatten", "identity"]


def test_a_softmax_that_something_else_reads_stays() -> None:
    rows = "a: fc 3 | softmax\nb from a: fc 3 | softmax\nhead h from a, weight=1: identity\n"
    graph = without_softmax(loads(f"{HEADER}{rows}output a, b").graph)
    assert (graph.outputs, graph.heads["h"].output) == (["a", "b"], "h.identity")
    assert graph.operands("b") == graph.operands("h.identity") == ("a.softmax",)


def test_a_stage_is_the_logits_of_two_outputs() -> None:
    graph = without_softmax(loads(f"{HEADER}a: fc 3\nb: softmax\noutput a, b").graph)
    assert graph.outputs == ["a", "a"]

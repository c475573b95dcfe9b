"""maxpool(relu(x)) => relu(maxpool(x))."""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.lowering.passes import commute_maxpool, optimise
from tests.helpers import load_rows
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


@pytest.mark.parametrize("pool", ["maxpool 2x2/2", "maxpool 3x2/2, pad=(2, 0, 1, 1), round=ceil"])
def test_the_pool_goes_first_and_the_values_are_the_same_to_the_bit(pool: str) -> None:
    net, outcome = alone(f"a: tanh | relu | {pool}", commute_maxpool)
    assert operators(outcome.graph) == [
        ("a.tanh", "tanh", ("image",)),
        ("a.maxpool/largest", "maxpool", ("a.tanh",)),
        ("a.maxpool", "relu", ("a.maxpool/largest",)),
    ]
    assert done(outcome) == [
        Entry("commute_maxpool", ("a.relu", "a.maxpool"), "a.maxpool"),
        Entry("commute_maxpool", ("a.relu", "a.maxpool"), "a.maxpool/largest"),
    ]
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


def test_it_goes_before_every_relu_of_a_chain() -> None:
    _, outcome = alone("a: relu | relu | maxpool 2x2/2", commute_maxpool)
    assert [name for _, name, _ in operators(outcome.graph)] == ["maxpool", "relu", "relu"]
    assert outcome.rewrites == {"commute_maxpool": 2}


def test_a_pool_behind_a_pool_gets_as_far_as_the_first_one_lets_it() -> None:
    rows = "a: relu | relu | maxpool 2x2/2 | maxpool 2x2/2"
    _, outcome = alone(rows, commute_maxpool)
    kinds = [name for _, name, _ in operators(outcome.graph)]
    assert kinds == ["maxpool", "relu", "maxpool", "relu"]


def test_1_a_relu_that_something_else_reads_stays() -> None:
    rows = "a: relu\nb from a: maxpool 2x2/2\nc from a: tanh\noutput b, c"
    _, outcome = alone(rows, commute_maxpool)
    assert refused(outcome) == [(("a.relu", "b.maxpool"), 1)]


def test_1_a_relu_that_is_an_output_stays() -> None:
    _, outcome = alone("a: relu\nb: maxpool 2x2/2\noutput a, b", commute_maxpool)
    assert refused(outcome) == [(("a.relu", "b.maxpool"), 1)]


def test_1_a_relu_that_ends_a_head_stays() -> None:
    """No spec says so, as nothing reads a head; a graph may."""
    net = load_rows("a: tanh | relu | maxpool 2x2/2\nhead h from a: tanh")
    graph = net.graph.copy()
    graph.heads["h"] = graph.heads["h"]._replace(output="a.relu")
    assert refused(optimise(graph, [commute_maxpool])) == [(("a.relu", "a.maxpool"), 1)]


@pytest.mark.parametrize("before", ["conv 1x1, 4", "maxpool 3x3/1"])
def test_2_a_relu_that_costs_nothing_stays(before: str) -> None:
    _, outcome = alone(f"a: {before} | relu\nb: maxpool 2x2/2", commute_maxpool)
    assert [refusal for _, refusal in refused(outcome)] == [2]


def test_what_something_else_reads_cannot_take_the_relu_in() -> None:
    rows = "a: conv 1x1, 4\nb from a: relu | maxpool 2x2/2\nc from a: tanh\noutput b, c"
    _, outcome = alone(rows, commute_maxpool)
    assert outcome.rewrites == {"commute_maxpool": 1}


@pytest.mark.parametrize("pool", ["maxpool 3x3/1, pad=1", "maxpool 2x2/1, pad=1"])
def test_3_a_pool_that_leaves_as_many_values_stays_behind(pool: str) -> None:
    _, outcome = alone(f"a: relu | {pool}", commute_maxpool)
    assert refused(outcome) == [(("a.relu", "a.maxpool"), 3)]


def test_no_row_has_the_name_of_the_pool() -> None:
    blocks = "block last = {\n    largest: bn eps=0.1\n}\nblock more = {\n    maxpool: last\n}\n"
    _, outcome = alone(f"{blocks}a: relu | maxpool 2x2/2 | more", commute_maxpool)
    assert outcome.rewrites == {"commute_maxpool": 1}
    assert "a.maxpool.largest" in outcome.graph

"""relu(f(x)) => f_relu(x)."""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.lowering.passes import commute_avgpool, fuse_relu, optimise
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


@pytest.mark.parametrize(
    ("before", "name", "fused"),
    [
        ("conv 3x3/2, 6, groups=3", "a", "conv_relu"),
        ("conv 1x1, 4, bias=off", "a", "conv_relu"),
        ("fc 5", "a", "fc_relu"),
        ("fc 5, bias=off", "a", "fc_relu"),
        ("maxpool 3x3/2, round=ceil", "a.maxpool", "maxpool_relu"),
    ],
)
def test_the_relu_goes_in(before: str, name: str, fused: str) -> None:
    net, outcome = alone(f"a: {before} | relu", fuse_relu)
    assert operators(outcome.graph) == [("a.relu", fused, ("image",))]
    assert done(outcome) == [Entry("fuse_relu", (name, "a.relu"), "a.relu")]
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


def test_a_connection_table_goes_along() -> None:
    table = "connect t {\n    X.\n    XX\n    .X\n}"
    _, outcome = alone(f"a: conv 3x3, 2, connect=t | relu\n{table}", fuse_relu)
    assert operators(outcome.graph) == [("a.relu", "conv_relu", ("image",))]


def test_it_goes_into_a_pool_with_a_bias() -> None:
    net = load_rows("a: avgpool 3x3/1 | conv 1x1, 2 | relu")
    optimised = optimise(net.graph, [commute_avgpool, fuse_relu]).graph
    assert [name for _, name, _ in operators(optimised)] == ["conv", "avgpool_bias_relu"]
    model, inputs = random_model(net), images(net)
    assert_values_kept(model, optimised, inputs, activations(model, net.graph, inputs))


@pytest.mark.parametrize("before", ["local 3x3, 2", "avgpool 3x3", "bn eps=1e-3", "relu", "gap"])
def test_1_without_a_kernel_it_stays(before: str) -> None:
    net, outcome = alone(f"a: {before}\nb: relu", fuse_relu)
    stage = net.graph.operands("b.relu")[0]
    assert refused(outcome)[-1] == ((stage, "b.relu"), 1)
    assert outcome.rewrites == {"fuse_relu": 0}


def test_1_a_second_relu_stays() -> None:
    _, outcome = alone("a: conv 1x1, 2 | relu | relu", fuse_relu)
    assert refused(outcome) == [(("a.relu1", "a.relu2"), 1)]


def test_2_what_something_else_reads_stays() -> None:
    rows = "a: conv 1x1, 4\nb from a: relu\nc from a: tanh\noutput b, c"
    _, outcome = alone(rows, fuse_relu)
    assert refused(outcome) == [(("a", "b.relu"), 2)]


def test_2_what_is_an_output_stays() -> None:
    _, outcome = alone("a: conv 1x1, 4\nb: relu\noutput a, b", fuse_relu)
    assert refused(outcome) == [(("a", "b.relu"), 2)]


def test_the_relu_itself_may_be_an_output_that_is_read_too() -> None:
    _, outcome = alone("a: conv 1x1, 4 | relu\nb: add { identity; relu }\noutput a, b", fuse_relu)
    assert outcome.rewrites == {"fuse_relu": 1}
    assert outcome.graph.outputs == ["a.relu", "b.add"]

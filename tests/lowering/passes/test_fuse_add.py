"""conv(x) + z => conv_add(x, z)."""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.lowering.passes import drop_training, fold_batchnorm, fuse_add, fuse_relu, optimise
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


@pytest.mark.parametrize("branches", ["conv 1x1, 4; tanh", "tanh; conv 1x1, 4"])
def test_the_addition_goes_in(branches: str) -> None:
    net, outcome = alone(f"x: conv 3x3, 4 | relu\na: add {{ {branches} }}", fuse_add)
    conv, tanh = sorted(net.graph.operands("a.add"), key=lambda name: "tanh" in name)
    assert operators(outcome.graph)[-1] == ("a.add", "conv_add", ("x.relu", tanh))
    assert done(outcome) == [Entry("fuse_add", (conv, "a.add"), "a.add")]
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


def test_of_two_convolutions_the_first_takes_the_other() -> None:
    rows = "a: add { conv 3x3, 4, pad=1; conv 1x1, 4 }"
    net, outcome = alone(rows, fuse_add)
    first, second = net.graph.operands("a.add")
    assert operators(outcome.graph) == [
        (second, "conv", ("image",)),
        ("a.add", "conv_add", ("image", second)),
    ]
    assert done(outcome) == [Entry("fuse_add", (first, "a.add"), "a.add")]
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


def test_a_residual_block_is_one_convolution_with_sum_and_relu() -> None:
    branch = "conv 3x3, 4, pad=1, bias=off | bn eps=0.1"
    rows = f"x: conv 3x3, 4 | relu\na: add {{ {branch}; identity }} | relu"
    net = load_rows(rows)
    optimised = optimise(net.graph, [drop_training, fold_batchnorm, fuse_add, fuse_relu]).graph
    assert operators(optimised) == [
        ("x.relu", "conv_relu", ("image",)),
        ("a.relu", "conv_add_relu", ("x.relu", "x.relu")),
    ]
    model, inputs = random_model(net), images(net)
    assert_values_kept(model, optimised, inputs, activations(model, net.graph, inputs))


def test_1_three_operands_stay() -> None:
    """A sum of three in another order rounds differently."""
    _, outcome = alone("a: add { conv 1x1, 3; identity; identity }", fuse_add)
    assert [refusal for _, refusal in refused(outcome)] == [1]


def test_1_a_convolution_plus_itself_stays() -> None:
    net = load_rows("x: conv 1x1, 4\na: add { identity; identity }")
    outcome = optimise(net.graph, [drop_training, fuse_add])
    assert refused(outcome)[-1] == (("x", "x", "a.add"), 1)


@pytest.mark.parametrize(
    "rows",
    [
        "a: add { relu; identity }",
        "a: add { conv 1x1, 3 | tanh; identity }",
        "x: conv 1x1, 3\na: add { identity; tanh }",  # two stages read the convolution
        "x: conv 1x1, 3\na from x, image: add\noutput x, a",
    ],
)
def test_2_without_a_convolution_of_its_own_it_stays(rows: str) -> None:
    _, outcome = alone(rows, fuse_add)
    assert [refusal for _, refusal in refused(outcome)] == [2]

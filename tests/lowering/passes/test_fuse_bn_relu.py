"""relu(bn(x)) => bn_relu(x)."""

from __future__ import annotations

from netspec.ir.graph import Entry
from netspec.lowering.passes import fold_batchnorm, fuse_bn_relu, optimise
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


def test_the_relu_goes_in() -> None:
    net, outcome = alone("a: bn eps=0.1 | relu", fuse_bn_relu)
    assert operators(outcome.graph) == [("a.relu", "bn_relu", ("image",))]
    assert done(outcome) == [Entry("fuse_bn_relu", ("a", "a.relu"), "a.relu")]
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


def test_a_normalisation_in_a_convolution_is_none() -> None:
    net = load_rows("a: conv 3x3, 4 | bn eps=0.1 | relu")
    outcome = optimise(net.graph, [fold_batchnorm, fuse_bn_relu])
    assert outcome.rewrites["fuse_bn_relu"] == 0


def test_1_what_something_else_reads_stays() -> None:
    rows = "a: bn eps=0.1\nb from a: relu\nc from a: tanh\noutput b, c"
    _, outcome = alone(rows, fuse_bn_relu)
    assert refused(outcome) == [(("a", "b.relu"), 1)]


def test_1_what_is_an_output_stays() -> None:
    _, outcome = alone("a: bn eps=0.1\nb: relu\noutput a, b", fuse_bn_relu)
    assert refused(outcome) == [(("a", "b.relu"), 1)]

"""conv_a(x), conv_b(x), ... => slices of conv_ab...(x)."""

from __future__ import annotations

import pytest
import torch

from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Entry
from netspec.ir.parameter_names import packings
from netspec.lowering.passes import fold_batchnorm, fuse_relu, merge_siblings, optimise
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


@pytest.mark.parametrize("options", ["", ", bias=off", ", pad=(0, 1, 2, 0), stride=2, dilation=2"])
def test_siblings_become_slices_of_one(options: str) -> None:
    _, outcome = alone(
        f"a: concat {{ conv 3x3, 2{options}; conv 3x3, 3{options}; conv 3x3, 1{options} }}",
        merge_siblings,
    )
    assert operators(outcome.graph) == [
        ("a.b1+a.b2+a.b3", "conv", ("image",)),
        ("a.b1", "slice", ("a.b1+a.b2+a.b3",)),
        ("a.b2", "slice", ("a.b1+a.b2+a.b3",)),
        ("a.b3", "slice", ("a.b1+a.b2+a.b3",)),
        ("a.concat", "concat", ("a.b1", "a.b2", "a.b3")),
    ]
    slices = [outcome.graph.stage(f"a.b{i}").op for i in (1, 2, 3)]
    assert slices == [Slice(start=s, count=n) for s, n in ((0, 2), (2, 3), (5, 1))]
    assert outcome.rewrites == {"merge_siblings": 2}
    assert done(outcome) == [Entry("merge_siblings", ("a.b1", "a.b2", "a.b3"), "a.b1+a.b2+a.b3")]
    assert refused(outcome) == []


def test_folded_and_plain_filters_stand_one_behind_the_other() -> None:
    net = load_rows("a: concat { conv 1x1, 2 | bn eps=0.1 | relu; conv 1x1, 3 | relu; relu }")
    optimised = optimise(net.graph, [fold_batchnorm, fuse_relu, merge_siblings]).graph
    assert optimised.stage("a.b1.relu+a.b2.relu").op.name == "conv_relu"
    model, inputs = random_model(net), images(net)
    assert_values_kept(model, optimised, inputs, activations(model, net.graph, inputs))
    merged = packings(optimised, "a.b1.relu+a.b2.relu")
    tensors = model.state_dict()
    assert merged["weight"].pack(tensors).shape == (5, 3, 1, 1)
    assert torch.equal(merged["bias"].pack(tensors)[2:], tensors["a.b2.bias"])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("conv 1x1, 2", "conv 3x3, 2, pad=1"),
        ("conv 3x3, 2, pad=1", "conv 3x3, 2, pad=(0, 2, 1, 1)"),
        ("conv 3x3/2, 2", "conv 3x3, 2, pad=half, stride=2"),
        ("conv 3x3, 2, dilation=1x2", "conv 3x3, 2"),
        ("conv 1x1, 2, bias=off", "conv 1x1, 2"),
    ],
)
def test_1_unlike_siblings_stay(a: str, b: str) -> None:
    _, outcome = alone(f"a: {a}\nb from image: {b}\noutput a, b", merge_siblings)
    assert outcome.rewrites == {"merge_siblings": 0}
    assert refused(outcome) == [(("a",), 1), (("b",), 1)]


def test_1_with_and_without_relu_stay() -> None:
    net = load_rows("a: concat { conv 1x1, 2 | relu; conv 1x1, 2 }")
    outcome = optimise(net.graph, [fuse_relu, merge_siblings])
    assert set(refused(outcome)) == {(("a.b1.relu",), 1), (("a.b2",), 1)}


def test_1_the_like_ones_are_merged_all_the_same() -> None:
    rows = "a: concat { conv 1x1, 2; conv 3x3, 2, pad=1; conv 1x1, 1 }"
    _, outcome = alone(rows, merge_siblings)
    assert outcome.rewrites == {"merge_siblings": 1}
    assert refused(outcome) == [(("a.b2",), 1)]


@pytest.mark.parametrize("options", ["groups=3", "connect=t"])
def test_2_groups_and_tables_stay(options: str) -> None:
    table = "connect t {\n    X..\n    XXX\n    .X.\n}" if "connect" in options else ""
    rows = f"a: concat {{ conv 1x1, 3, {options}; conv 1x1, 3, {options} }}\n{table}"
    _, outcome = alone(rows, merge_siblings)
    assert refused(outcome) == [(("a.b1",), 2), (("a.b2",), 2)]


def test_a_sibling_may_be_an_output_and_be_read() -> None:
    rows = "a: conv 1x1, 2\nb from image: conv 1x1, 3\nc from a, b: concat | tanh\noutput a, c"
    _, outcome = alone(rows, merge_siblings)
    assert outcome.rewrites == {"merge_siblings": 1}
    assert outcome.graph.outputs == ["a", "c.tanh"]


def test_what_the_trunk_and_a_head_share_belongs_to_no_head() -> None:
    rows = "a: relu\nhead h from a: conv 1x1, 2\nb from a: conv 1x1, 3"
    graph = optimise(load_rows(rows).graph, [merge_siblings]).graph
    assert graph.stage("h+b").head == ""
    both = "a: relu\nb from a: tanh\nhead h from a: concat { conv 1x1, 2; conv 1x1, 3 }\noutput b"
    graph = optimise(load_rows(both).graph, [merge_siblings]).graph
    assert graph.stage("h.b1+h.b2").head == "h"


def test_siblings_stand_in_the_order_of_the_spec() -> None:
    """However passes before have changed them."""
    net = load_rows("a: concat { conv 1x1, 2 | bn eps=0.1; conv 1x1, 3 }")
    optimised = optimise(net.graph, [fold_batchnorm, merge_siblings]).graph
    names = [stage.name for stage in optimised.stages()]
    assert names == ["image", "a.b1.bn+a.b2", "a.b1.bn", "a.b2", "a.concat"]


def test_one_convolution_has_no_siblings() -> None:
    _, outcome = alone("a: conv 1x1, 2\nb: conv 1x1, 2", merge_siblings)
    assert outcome.graph.journal == []

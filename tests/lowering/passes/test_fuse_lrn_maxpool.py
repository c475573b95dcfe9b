"""maxpool(lrn(x)) => lrn_maxpool(x)."""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.lowering.passes import fuse_lrn_maxpool
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

LRN = "lrn 3, k=1, alpha=0.3"


@pytest.mark.parametrize(
    "pool",
    [
        "maxpool 3x3/2",
        "maxpool 2x3/2, pad=(1, 0, 0, 2), round=ceil",
        "maxpool 2x3/2, dilation=3x1, pad=(1, 0, 0, 2)",
    ],
)
@pytest.mark.parametrize("groups", ["", ", groups=2"])
def test_the_pool_takes_the_normalisation_in(pool: str, groups: str) -> None:
    net, outcome = alone(f"a: conv 1x1, 4\nb: {LRN}{groups} | {pool}", fuse_lrn_maxpool)
    assert operators(outcome.graph)[1:] == [("b.maxpool", "lrn_maxpool", ("a",))]
    assert done(outcome) == [Entry("fuse_lrn_maxpool", ("b.lrn", "b.maxpool"), "b.maxpool")]
    assert refused(outcome) == []
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


def test_a_normalisation_within_channels_is_not_fused() -> None:
    _, outcome = alone("a: lrn_within 3, alpha=0.3 | maxpool 3x3/2", fuse_lrn_maxpool)
    assert [word for _, word, _ in operators(outcome.graph)] == ["lrn_within", "maxpool"]


def test_1_a_map_that_something_else_reads_stays() -> None:
    rows = f"a: {LRN}\nb from a: maxpool 2x2\nc from a: relu\noutput b, c"
    _, outcome = alone(rows, fuse_lrn_maxpool)
    assert refused(outcome) == [(("a.lrn", "b.maxpool"), 1)]


def test_1_a_map_that_is_an_output_stays() -> None:
    _, outcome = alone(f"a: {LRN}\nb: maxpool 2x2\noutput a, b", fuse_lrn_maxpool)
    assert refused(outcome) == [(("a.lrn", "b.maxpool"), 1)]


@pytest.mark.parametrize("rows", [f"a: {LRN} | avgpool 2x2", f"a: maxpool 2x2 | {LRN}"])
def test_nothing_else_is_fused(rows: str) -> None:
    _, outcome = alone(rows, fuse_lrn_maxpool)
    assert outcome.graph.journal == []

"""conv1x1(avgpool(x)) => avgpool(conv1x1(x)) + b."""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.lowering.passes import commute_avgpool, fold_batchnorm, optimise
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

POOL = "avgpool 3x3/1, pad=1, count_pad=on"


@pytest.mark.parametrize(
    "pool",
    [
        POOL,
        "avgpool 3x3/1, pad=1, count_pad=off",
        "avgpool 3x2/1, pad=(2, 0, 0, 1), count_pad=on, round=ceil",
    ],
)
@pytest.mark.parametrize("pad", ["", ", pad=half", ", pad=same"])
def test_the_convolution_goes_first(pool: str, pad: str) -> None:
    _, outcome = alone(f"a: {pool} | conv 1x1, 2{pad} | relu", commute_avgpool)
    assert operators(outcome.graph) == [
        ("a/product", "conv", ("image",)),
        ("a", "avgpool_bias", ("a/product",)),
        ("a.relu", "relu", ("a",)),
    ]
    assert done(outcome) == [
        Entry("commute_avgpool", ("a.avgpool", "a"), "a"),
        Entry("commute_avgpool", ("a.avgpool", "a"), "a/product"),
    ]
    assert refused(outcome) == []


def test_a_normalisation_that_was_folded_in_is_parted() -> None:
    net = load_rows(f"a: {POOL} | conv 1x1, 2, bias=off | bn eps=1e-3")
    optimised = optimise(net.graph, [fold_batchnorm, commute_avgpool]).graph
    assert [name for _, name, _ in operators(optimised)] == ["conv", "avgpool_bias"]
    model, inputs = random_model(net), images(net)
    assert_values_kept(model, optimised, inputs, activations(model, net.graph, inputs))


def test_1_a_mean_that_something_else_reads_stays() -> None:
    rows = f"a: {POOL}\nb from a: conv 1x1, 2\nc from a: relu\noutput b, c"
    _, outcome = alone(rows, commute_avgpool)
    assert refused(outcome) == [(("a.avgpool", "b"), 1)]


def test_1_a_mean_that_is_an_output_stays() -> None:
    _, outcome = alone(f"a: {POOL}\nb: conv 1x1, 2\noutput a, b", commute_avgpool)
    assert refused(outcome) == [(("a.avgpool", "b"), 1)]


@pytest.mark.parametrize(
    "conv",
    [
        "conv 3x1, 2",
        "conv 1x1/2, 2",
        "conv 1x1, 3, groups=3",
        "conv 1x1, 2, connect=t",
    ],
)
def test_2_a_convolution_of_more_than_a_pixel_and_all_channels_stays(conv: str) -> None:
    table = "\nconnect t {\n    X.\n    XX\n    .X\n}" if "connect" in conv else ""
    _, outcome = alone(f"a: {POOL} | {conv}{table}", commute_avgpool)
    assert outcome.rewrites == {"commute_avgpool": 0}
    assert refused(outcome) == [(("a.avgpool", "a"), 2)]


def test_3_a_convolution_without_bias_stays() -> None:
    _, outcome = alone(f"a: {POOL} | conv 1x1, 2, bias=off", commute_avgpool)
    assert refused(outcome) == [(("a.avgpool", "a"), 3)]


@pytest.mark.parametrize(("count", "refusal"), [(2, 0), (3, 4), (4, 4)])
def test_4_no_fewer_products_and_sums(count: int, refusal: int) -> None:
    """64 pixels before and behind: 64 (3 n + 9 n) against 64 (3 n + 9 * 3), less for n < 3."""
    _, outcome = alone(f"a: {POOL} | conv 1x1, {count}", commute_avgpool)
    assert refused(outcome) == ([(("a.avgpool", "a"), refusal)] if refusal else [])


@pytest.mark.parametrize(("count", "refusal"), [(1, 0), (2, 4)])
def test_4_a_pool_that_leaves_fewer_pixels(count: int, refusal: int) -> None:
    """64 pixels before, 16 behind: 64 * 3 n + 16 * 4 n against 16 * 3 n + 16 * 4 * 3.

    256 n < 48 n + 192 has no whole solution; with a kernel of 4x4 sums weigh more:
    64 * 3 n + 9 * 16 n < 9 * 3 n + 9 * 16 * 3 for n = 1 only (336 < 459, 672 > 486).
    """
    _, outcome = alone(f"a: avgpool 2x2/2 | conv 1x1, {count}", commute_avgpool)
    assert refused(outcome) == [(("a.avgpool", "a"), 4)]
    _, outcome = alone(f"a: avgpool 4x4/2 | conv 1x1, {count}", commute_avgpool)
    assert refused(outcome) == ([(("a.avgpool", "a"), refusal)] if refusal else [])


def test_no_row_has_the_name_of_the_product() -> None:
    block = "block more = {\n    product: bn eps=0.1\n}\n"
    _, outcome = alone(f"{block}a: {POOL} | conv 1x1, 2 | more", commute_avgpool)
    assert outcome.rewrites == {"commute_avgpool": 1}
    assert "a.product" in outcome.graph

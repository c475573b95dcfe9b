"""bn(conv(x)) => conv'(x)."""

from __future__ import annotations

import pytest

from netspec.ir.graph import Entry
from netspec.lowering.passes import fold_batchnorm
from tests.helpers import HEADER
from tests.lowering.passes.helpers import alone, done, operators, refused


@pytest.mark.parametrize("options", ["", ", bias=off", ", groups=3", ", pad=1, dilation=2"])
def test_a_convolution_takes_the_normalisation_in(options: str) -> None:
    _, outcome = alone(f"a: conv 3x3/2, 6{options} | bn eps=1e-3 | relu", fold_batchnorm)
    assert operators(outcome.graph) == [
        ("a.bn", "conv", ("image",)),
        ("a.relu", "relu", ("a.bn",)),
    ]
    assert done(outcome) == [Entry("fold_batchnorm", ("a.conv", "a.bn"), "a.bn")]
    assert refused(outcome) == []


@pytest.mark.parametrize("before", ["relu", "local 3x3, 2", "fc 5"])
def test_1_only_a_convolution_takes_it_in(before: str) -> None:
    _, outcome = alone(f"a: {before}\nb: bn eps=1e-3", fold_batchnorm)
    assert outcome.rewrites == {"fold_batchnorm": 0}
    assert [refusal for _, refusal in refused(outcome)] == [1]


def test_2_a_convolution_that_something_else_reads_stays() -> None:
    rows = "a: conv 1x1, 4\nb from a: bn eps=1e-3\nc from a: bn eps=1e-2\noutput b, c"
    _, outcome = alone(rows, fold_batchnorm)
    assert refused(outcome) == [(("a", "b"), 2), (("a", "c"), 2)]


def test_2_a_convolution_that_is_an_output_stays() -> None:
    _, outcome = alone("a: conv 1x1, 4\nb: bn eps=1e-3\noutput a, b", fold_batchnorm)
    assert refused(outcome) == [(("a", "b"), 2)]


def test_3_a_connection_table_stays() -> None:
    rows = "a: conv 3x3, 2, connect=t | bn eps=1e-3\nconnect t {\n    X.\n    XX\n    .X\n}"
    _, outcome = alone(rows, fold_batchnorm)
    assert refused(outcome) == [(("a.conv", "a.bn"), 3)]


def test_4_a_second_normalisation_stays() -> None:
    _, outcome = alone("a: conv 1x1, 4 | bn eps=1e-3 | bn eps=1e-2", fold_batchnorm)
    assert outcome.rewrites == {"fold_batchnorm": 1}
    assert refused(outcome) == [(("a.bn1", "a.bn2"), 4)]


def test_1_a_vector_is_normalised_as_before() -> None:
    _, outcome = alone("a: bn eps=1e-3 | relu", fold_batchnorm, HEADER.replace("8x8x3", "7"))
    assert refused(outcome) == [(("image", "a"), 1)]

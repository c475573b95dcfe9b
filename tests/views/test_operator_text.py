"""Operators as text, short; whole ones are tested with the graphs that show them."""

from __future__ import annotations

import pytest

from netspec import load
from netspec.views.operator_text import short_text
from tests.helpers import load_rows


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("conv 3x3, 6, groups=3, pad=1", "conv 3x3/1, 6, groups=3"),
        ("deconv 4x4/2, 6, pad=1", "deconv 4x4/2, 6"),
        ("maxpool 3x2/2", "maxpool 3x2/2"),
        ("dropout 0.25", "dropout 0.25"),
        ("relu", "relu"),
    ],
)
def test_it_has_what_must_be_given_and_the_stride(row: str, text: str) -> None:
    *_, stage = load_rows(f"a: {row}").graph.stages()
    assert short_text(stage.op) == text


def test_codes_are_called_by_their_name() -> None:
    assert short_text(load("lenet5_rbf").graph.stage("out.rbf").op) == "rbf digits"

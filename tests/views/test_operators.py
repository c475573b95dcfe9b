from __future__ import annotations

import pytest

from netspec.ir.operator import Operator
from netspec.ir.ops import OPERATORS
from netspec.views.operators import as_data, as_markdown, as_text


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_every_attribute_is_described(operator: type) -> None:
    text = as_text(operator)
    for attribute in as_data(operator)["attributes"]:
        assert attribute["help"] in text
        assert attribute["takes"]


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_every_operator_shows_its_example(operator: type[Operator]) -> None:
    assert as_data(operator)["example"] == operator.example
    assert as_text(operator).endswith(f"\nExample: {operator.example}")
    assert f"\nExample: `{operator.example}`\n" in as_markdown([operator])


def test_defaults_are_written_as_a_spec_would() -> None:
    defaults = {a["name"]: a["default"] for a in as_data(OPERATORS["conv"])["attributes"]}
    assert defaults == {
        "kernel": None, "count": None, "stride": "1", "pad": "0", "round": "floor",
        "dilation": "1", "groups": "1", "bias": "on", "connect": "none",
    }  # fmt: skip


def test_the_page_has_a_section_for_each_operator() -> None:
    page = as_markdown(list(OPERATORS.values()))
    assert page.count("\n## ") == len(OPERATORS)

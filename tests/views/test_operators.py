from __future__ import annotations

import re

import pytest

from netspec.ir.operator import Operator
from netspec.ir.ops import OPERATORS
from netspec.views.operators import as_data, as_markdown, as_text, ops


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


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("BatchNorm", "netspec's operator is bn: see `netspec ops bn`"),
        ("Conv2d", "netspec's operator is conv: see `netspec ops conv`"),
        ("Dense", "netspec's operator is fc: see `netspec ops fc`"),
        ("ReLU", "netspec's operator is relu: see `netspec ops relu`"),
        ("MaxPooling2D", "netspec's operator is maxpool: see `netspec ops maxpool`"),
        ("Mish", "netspec has no mish; see `netspec ops` for its activations"),
        ("padding", "padding is an attribute of the next window: `conv 3x3, 64, pad=1`"),
        ("cnov", "did you mean `conv`?"),
        ("qqqqqq", "`netspec ops` lists them all"),
    ],
)
def test_a_word_of_another_framework_leads_to_the_operator(word: str, advice: str) -> None:
    message = f"there is no operator {word}; {advice}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ops(word)

from __future__ import annotations

import pytest

from netspec import load, loads
from netspec.views.table import as_html, as_text, lines
from tests.helpers import load_rows


def test_the_table_ends_with_totals_and_those_with_heads() -> None:
    lines = as_text(load("googlenet")).splitlines()
    assert lines[-2].split() == ["total", "6,998,552", "1,582,671,872"]
    assert lines[-1].split() == ["with", "heads", "13,378,280", "1,591,044,096"]
    assert any(line.strip().startswith("aux1 (head)") for line in lines)


def test_several_kernels_of_a_row_stand_below_each_other() -> None:
    lines = as_text(load("googlenet")).splitlines()
    (index,) = [i for i, line in enumerate(lines) if line.strip().startswith("conv2")]
    assert "1x1x64/1, 64" in lines[index]
    assert lines[index + 1].strip() == "3x3x64/1, 192"


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_narrow_terminal_gets_fewer_columns_and_no_cut_numbers(width: int) -> None:
    shown = [line.text for line in lines(load("googlenet"), width)]
    text = "\n".join(shown)
    assert "1,582,671,872" in text
    assert ("layers" in text) == (width >= 120)
    assert max(map(len, shown)) <= max(width, 80)


def test_a_wide_row_is_not_cut() -> None:
    rows = "a: " + " | ".join(["conv 1x1, 3 | relu"] * 10)
    assert "conv relu " * 9 + "conv relu" in as_text(load_rows(rows))


def test_titles_are_text_not_markup_and_hold_nothing_hidden() -> None:
    net = loads('net a "x [/b] \u202e y"\ninput image 8x8x3\na: fc 2')
    assert "x [/b] \u00b7 y" in as_text(net)


def test_layers_are_those_that_stand() -> None:
    text = "net t(act=relu, norm=on)\ninput image 8x8x3\na: conv 3x3, 2 | act | lrn 5 if norm"
    assert "conv relu lrn" in as_text(loads(text))
    assert "conv tanh   " in as_text(loads(text, act="tanh", norm=False))


def test_a_rectangular_field_and_several_inputs_are_shown() -> None:
    header = "net two\ninput left 8x8x3\ninput right 8x8x3\n"
    net = load_rows("a from left, right: concat | conv 1x7, 4, pad=half", header)
    assert "8x8x3, 8x8x3" in as_text(net)
    assert any(line.endswith("1x7") for line in as_text(net).splitlines())


def test_html_has_a_line_a_row() -> None:
    html = as_html(load("lenet5"))
    assert html.count("<tr>") == 1 + 7 + 1
    assert html.startswith("<table>")

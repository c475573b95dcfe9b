from __future__ import annotations

import io

import pytest
from rich.console import Console

from netspec import load
from netspec.views import table
from netspec.views.table import as_html, as_text, print_table
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
def test_a_narrow_terminal_gets_fewer_columns_and_no_cut_numbers(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(
        table, "Console", lambda width=width: Console(file=shown, width=width, color_system=None)
    )
    print_table(load("googlenet"))
    text = shown.getvalue()
    assert "1,582,671,872" in text
    assert "…" not in text
    assert ("layers" in text) == (width > 100)
    assert max(map(len, text.splitlines())) <= max(width, 80)


def test_a_rectangular_field_and_several_inputs_are_shown() -> None:
    header = "net two\ninput left 8x8x3\ninput right 8x8x3\n"
    net = load_rows("a from left, right: concat | conv 1x7, 4, pad=half", header)
    assert "8x8x3, 8x8x3" in as_text(net)
    assert any(line.endswith("1x7") for line in as_text(net).splitlines())


def test_html_has_a_line_a_row() -> None:
    html = as_html(load("lenet5"))
    assert html.count("<tr>") == 1 + 7 + 1
    assert html.startswith("<table>")

from __future__ import annotations

import pytest

from netspec import loads
from netspec.views.table import as_html, as_text, lines
from tests.helpers import load_rows, loaded


def test_the_table_ends_with_totals_and_those_with_heads() -> None:
    lines = as_text(loaded("googlenet")).splitlines()
    assert lines[-2].split() == ["total", "6,998,552", "1,582,671,872"]
    assert lines[-1].split() == ["with", "heads", "13,378,280", "1,591,044,096"]
    assert any(line.strip().startswith("aux1 (head)") for line in lines)


def test_several_kernels_of_a_row_stand_below_each_other() -> None:
    lines = as_text(loaded("googlenet")).splitlines()
    (index,) = [i for i, line in enumerate(lines) if line.strip().startswith("conv2")]
    assert "1x1x64/1, 64" in lines[index]
    assert lines[index + 1].strip() == "3x3x64/1, 192"


@pytest.mark.parametrize(
    ("name", "width", "hidden"),
    [
        ("alexnet", 60, "columns: kernel, MACs, field"),
        ("alexnet", 80, "columns: input, field"),
        ("alexnet", 100, ""),
        ("googlenet", 60, "columns: kernel, MACs, input, field"),
        ("googlenet", 80, "columns: kernel, input, field"),
        ("googlenet", 120, "column: field"),
        ("inception_v3", 100, "columns: MACs, input, field"),
        ("inception_v3", 120, "columns: input, field"),
        ("inception_v3", 200, ""),
    ],
)
def test_a_narrow_terminal_hides_the_least_important_columns(
    name: str, width: int, hidden: str
) -> None:
    net = loaded(name)
    shown = [line.text for line in lines(net, net.rows, width)]
    text, titles = "\n".join(shown), 2
    assert all(column in text for column in ("row", "layers", "output", "parameters"))
    assert f"{net.totals.parameters:,}" in text
    assert max(map(len, shown[titles:])) <= width
    assert ("Hidden" in text) == bool(hidden)
    if hidden:
        assert shown[-2:] == [
            f"Hidden {hidden}.",
            "Use a wider terminal, --json, or a pipe to see all.",
        ]


def test_layers_are_wrapped_between_words_if_nothing_else_can_be_hidden() -> None:
    net = loaded("googlenet")
    shown = [line.text for line in lines(net, net.rows, 60)]
    (index,) = [i for i, line in enumerate(shown) if line.startswith("conv2")]
    assert shown[index].split() == ["conv2", *["conv", "relu"] * 2, "56x56x192", "114,944"]
    assert shown[index + 1].strip() == "norm"
    shown = [line.text for line in lines(net, net.rows, 10)]
    assert "6,998,552" in "\n".join(shown), "numbers are never cut"


def test_kernels_of_branches_are_in_short_a_line_per_branch() -> None:
    assert loaded("googlenet")["3a"].kernels == (
        "1x1, 64", "1x1, 96 | 3x3, 128", "1x1, 16 | 5x5, 32", "maxpool 3x3 | 1x1, 32"
    )  # fmt: skip
    assert loaded("googlenet")["conv2"].kernels == ("1x1x64/1, 64", "3x3x64/1, 192")
    rows = """block basic(n) = add {
    conv 3x3/2, n, pad=1 | relu | conv 3x3, n, pad=1
    conv 1x1/2, n
}
a: basic 4 | relu
b: add { conv 1x1, 4; identity } | conv 1x1, 5
c: add { identity; identity }
d: gap | concat { fc 3; fc 2 | concat { fc 4; fc 5 | fc 6 } }"""
    net = load_rows(rows)
    assert net["a"].kernels == ("3x3/2, 4 | 3x3, 4", "1x1/2, 4")
    assert net["b"].kernels == ("1x1, 4", "1x1x4/1, 5")
    assert net["c"].kernels == ()
    assert net["d"].kernels == ("4x4", "fc 5x3", "fc 5x2 |", "  fc 2x4", "  fc 2x5 | fc 5x6")
    text = as_text(net)
    assert "3x3/2, 4 | 3x3, 4" in text


def test_kernels_of_branches_inside_a_branch_are_indented() -> None:
    assert loaded("inception_v3")["7b"].kernels[1:5] == (
        "1x1, 384 |", "  1x3, 384", "  3x1, 384", "1x1, 448 | 3x3, 384 |"
    )  # fmt: skip
    rows = """a: concat {
    conv 1x1, 1
    conv 1x1, 2 | concat { conv 1x1, 3; add { conv 1x1, 2; identity } | conv 1x1, 5 } | conv 1x1, 6
    relu | add { conv 1x1, 3 | conv 1x1, 7 | conv 1x1, 8 | conv 1x1, 3; identity } | relu
}"""
    net = load_rows(rows)
    assert net["a"].kernels == (
        "1x1, 1", "1x1, 2 |", "  1x1, 3", "  1x1, 2", "  | 1x1, 5", "| 1x1, 6",
        "relu |", "  1x1, 3 | 1x1, 7 | 1x1, 8 | 1x1, 3",
    )  # fmt: skip
    assert "  1x1, 3 | 1x1, 7 | 1x1, 8 |" in as_text(net)
    assert "<br>&nbsp;&nbsp;1x1, 3<br>" in as_html(net)


def test_long_chains_are_folded() -> None:
    shown = as_text(loaded("inception_v3")).splitlines()
    (index,) = [i for i, line in enumerate(shown) if line.startswith("6b")]
    assert [line.strip() for line in shown[index + 2 : index + 4]] == [
        "1x1, 128 | 7x1, 128 | 1x7, 128 |",
        "7x1, 128 | 1x7, 192",
    ]


def test_expanded_rows_follow_the_row_around_them() -> None:
    net = load_rows("""block bottle(n) = {
    a: conv 1x1, n | relu
    b: add { conv 1x1, n; identity }
    c: conv 1x1, n
}
block single = { only: bottle 4 }
x: conv 3x3, 4 | relu
y: single
z: fc 2""")
    labels = [row.label for row in net.rows.expanded()]
    inner = ["a", "b", "b.b1", "b.b2.identity", "b.add", "c"]
    assert [label.replace("y.only.", "") for label in labels] == ["x", "y", "y.only", *inner, "z"]
    text = "\n".join(line.text for line in lines(net, net.rows.expanded()))
    assert "y.only.b.b1" in text
    assert text.splitlines()[-1].split()[1] == f"{net.totals.parameters:,}"


def test_rows_inside_a_head_keep_their_labels() -> None:
    assert "aux1.fc2 (head)" in str(loaded("googlenet").rows.expanded())


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
    html = as_html(loaded("lenet5"))
    assert html.count("<tr>") == 1 + 7 + 1
    assert html.startswith("<table>")

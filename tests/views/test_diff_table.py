from __future__ import annotations

from typing import Any

import pytest

from netspec import loads
from netspec.language.diagnostics import cells_wide
from netspec.views.diff import diff
from netspec.views.diff_table import change, lines, percent, show
from tests.helpers import HEADER, load_rows, loaded
from tests.views.test_diff import shown


def test_a_changed_row_tells_only_what_the_other_has_instead() -> None:
    rows = """
        C1: conv 11x11/4, {}, pad=2 | relu | lrn 5
        S1: maxpool 3x3/2
        C2: conv 5x5, 256, pad=2 | relu
        S2: maxpool 3x3/2
        F3: fc 10 | softmax
    """
    header = "net t\ninput image 224x224x3\n"
    told = shown(load_rows(rows.format(96), header), load_rows(rows.format(48), header))
    told = told.splitlines()
    at = next(i for i, line in enumerate(told) if line.startswith("~ C1"))
    assert told[at : at + 2] == [
        "~ C1     conv relu lrn  11x11x3/4, 96  55x55x96       34,944   105,415,200",
        "                        11x11x3/4, 48  55x55x48       17,472    52,707,600",
    ]
    assert told[at + 2].split() == ["-50.0", "%", "-50.0", "%"]
    assert told[at + 3].startswith("~ S1")
    assert told[at + 5].startswith("~ C2")
    assert "= 2 rows are alike: S2, F3" in told


def test_of_many_rows_that_are_alike_the_first_and_the_last_are_named() -> None:
    told = shown(load_rows("r1..r6: relu\nz: tanh"), load_rows("r1..r6: relu"))
    assert "= 6 rows are alike: r1, r2, r3, ..., r6" in told.splitlines()


def test_totals_are_told_with_the_change() -> None:
    totals = shown(loaded("alexnet"), loaded("googlenet")).splitlines()[-8:]
    assert [line.split() for line in totals[:4]] == [
        ["~", "total", "60,965,224", "724,406,816"],
        ["6,998,552", "1,582,671,872"],
        ["-53,966,672", "+858,265,056"],
        ["-88.5", "%", "+118.5", "%"],
    ]
    assert totals[4].startswith("~ total  with heads")
    assert len({len(line) for line in totals[1:]}) == 1


def test_words_are_wrapped_before_kernels_and_never_inside() -> None:
    told = shown(loaded("alexnet"), loaded("googlenet"))
    assert "~ C1     conv relu norm   11x11x3/4, 96   55x55x96" in told
    assert "  conv2  conv relu conv   1x1x64/1, 64    56x56x192" in told
    assert "         conv: pad 0 -> 3; round ceil -> floor" in told


def test_counts_that_are_not_numbers_are_shown_and_wrapped() -> None:
    difference = diff(load_rows("a: conv 3x3, 2"), load_rows("a: conv 3x3, 3"))
    (pair,) = difference.rows
    assert pair.a is not None
    formula = "3*H*W*(C1 + 1) + " * 9 + "7"
    odd = pair._replace(a=pair.a | {"parameters": formula, "macs": formula})
    totals = difference.totals | {"parameters": [formula, 84]}
    told = [line.text for line in lines(difference._replace(rows=[odd], totals=totals))]
    assert max(map(len, told)) <= 80
    assert sum(line.count("H*W*(C1") for line in told) == 27


def test_equal_nets_are_told_in_a_line() -> None:
    assert shown(loaded("alexnet"), loaded("alexnet")).splitlines()[2:] == [
        "",
        "no differences: 11 rows, 60,965,224 parameters, 724,406,816 MACs",
    ]


def test_a_new_label_is_a_rename_when_all_else_is_alike() -> None:
    told = shown(load_rows("a: relu\nb: fc 2"), load_rows("a: relu\nc: fc 2"))
    assert "= 2 rows are alike, 1 of them renamed: a, b = c" in told
    assert "= total" in told


def test_a_row_that_loses_its_kernel_or_parameters_says_so() -> None:
    told = shown(load_rows("a: conv 1x1, 3"), load_rows("a: relu")).splitlines()
    assert told[7].split() == ["relu", "none", "0", "0"]
    assert told[8].split() == ["-100.0", "%", "-100.0", "%"]


def test_blocks_of_one_name_show_their_operators() -> None:
    rows = "block unit = {}\na: unit"
    told = shown(load_rows(rows.format("relu | tanh")), load_rows(rows.format("relu"))).splitlines()
    assert told[6].split()[:4] == ["~", "a", "relu", "tanh"]
    assert told[7].split() == ["relu"]


def test_a_row_that_differs_in_its_input_alone_says_so() -> None:
    header = HEADER.replace("8x8", "7x7")
    told = shown(load_rows("a: maxpool 3x3/3"), load_rows("a: maxpool 3x3/3", header))
    assert "input 8x8x3 -> 7x7x3" in told


def test_many_stages_are_counted_not_listed() -> None:
    rows = "a: concat {{ {} }}"
    branch = " | ".join(["conv 3x3, 3, pad={0}, dilation={0}"] * 5)
    one, other = (rows.format(f"{b}; {b}; relu") for b in (branch.format(1), branch.format(2)))
    told = shown(load_rows(one), load_rows(other))
    assert told.count("dilation 1 -> 2") == 6
    assert "and 4 stages more" in told


def test_settings_and_files_are_told_of_nets_of_one_name() -> None:
    text = "net t(n=2)\ninput image 8x8x3\na: fc n"
    told = shown(loads(text, "one.net"), loads(text, "a_\u7db2.net", n="3")).splitlines()
    assert told[:2] == ["- t: image 8x8x3 (one.net)", "+ t: image 8x8x3 (a_\u7db2.net, n=3)"]


def test_long_names_are_wrapped() -> None:
    text = "net t\ninput image 8x8x3\na: fc 2"
    told = lines(diff(loads(text, "\u7db2" * 90), loads(text, "x" * 300)))
    assert max(cells_wide(line.text) for line in told) <= 80
    assert sum(line.text.count("\u7db2") for line in told) == 90


def test_huge_counts_are_never_cut() -> None:
    told = shown(load_rows("a: fc 2**50"), load_rows("a: fc 2**30 | fc 2**31"))
    assert max(map(len, told.splitlines())) <= 80
    assert "2.305843e+18" in told


@pytest.mark.parametrize(
    ("a", "b", "by", "share"),
    [
        (100, 150, "+50", "+50.0 %"),
        (2_000_000, 1_000_000, "-1,000,000", "-50.0 %"),
        (7, 7, "", ""),
        (0, 7, "+7", ""),
        (1, 100_000, "+99,999", "+9,999,900 %"),
        (1, 10**400, "+1.000000e+400", "+1.0e+402 %"),
        ("H*W", 7, "", ""),
        (7, "H*W", "", ""),
    ],
)
def test_changes_are_told_of_numbers_only(a: Any, b: Any, by: str, share: str) -> None:
    assert change(a, b) == by
    assert percent(a, b) == share


def test_what_is_not_a_number_is_shown_as_written() -> None:
    assert show(1_234_567) == "1,234,567"
    assert show("3*H*W") == "3*H*W"
